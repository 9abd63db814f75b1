#!/usr/bin/env bash
# Runs llem gate with the action's inputs, which action.yml hands over as variables; GitHub brings GITHUB_OUTPUT.
set -euo pipefail

options=(--metric "$METRIC")
if [ -n "$STORE" ]; then options+=(--store "$STORE"); fi
if [ -n "$MAX_INCREASE" ]; then options+=(--max-increase "$MAX_INCREASE"); fi
if [ -n "$MAX_DECREASE" ]; then options+=(--max-decrease "$MAX_DECREASE"); fi
if [ -n "$RELATIVE_TO" ]; then options+=(--relative-to "$RELATIVE_TO"); fi
if [ -n "$JUNIT" ]; then options+=(--junit "$JUNIT"); fi
if [ "$ANYWAY" = true ]; then options+=(--anyway); fi

code=0
python -m llem gate "${options[@]}" -- "$BASELINE" "$CANDIDATE" || code=$?

case $code in
  0) verdict=passed ;;
  1) verdict=failed ;;
  5) verdict=undecided ;;
  *) exit "$code" ;;
esac
echo "verdict=$verdict" >> "$GITHUB_OUTPUT"

if [ "$verdict" = undecided ] && [ "$UNDECIDED" = pass ]; then
  echo "::warning title=llem gate::It cannot tell whether the limit is kept; the step's summary says why."
  code=0
fi
exit "$code"
