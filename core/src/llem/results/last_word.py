"""A result in the form in which it can always be written, with a warning where that is not the form in which it came."""

from __future__ import annotations

from llem.results.models import ExperimentResult, ResultWarning
from llem.results.writable import changed_places, writable

TEXT_WRITTEN_OUT = "text_written_out"
_NAMED = 5


def last_word(result: ExperimentResult) -> ExperimentResult:
    """The result, as it is where JSON can hold it; else with what it cannot hold changed, and the places told."""
    data = result.model_dump()
    # Looked for in what was measured and found, not in what an engine answered: that may be any text.
    samples = data.pop("samples")
    fitting = writable(data)
    places = list(dict.fromkeys(changed_places(data, fitting)))
    fitting["samples"] = writable(samples)
    places += ["samples"] if samples != fitting["samples"] else []
    if not places:
        return result
    found = ExperimentResult.model_validate(fitting)
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    message = (
        f"a file could not hold what stood at {', '.join(places[:_NAMED])}{more}: text that is not UTF-8 is written out "
        "(\\udXXX), a number that is not finite is null, and one beyond 64 bits is text. No measured figure is changed."
    )
    if all(warning.code != TEXT_WRITTEN_OUT for warning in found.warnings):
        found.warnings.append(ResultWarning(code=TEXT_WRITTEN_OUT, message=message))
    return found
