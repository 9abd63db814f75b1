"""Loads what a configuration names: model, tokenizer, assistant, adapter."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from llem.plugin_api import ModelConfig, ModelError
from llem_hub.shapes import load_shape
from llem_hub.sources import ModelLocation, locate_model
from llem_hub.tokens import ByteTokenizer, TextTokenizer, Tokenizer
from llem_pytorch import arguments
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.unpacked import UnpackedWeights

RANDOM_SEED = 0
"""Weights of `random:` models are drawn with this seed, so that every run has the same ones."""


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        model: transformers' model, in evaluation mode, on its devices.
        location: where it came from.
        end_ids: ids that end a sequence, by the model's own generation config.
        unpacked: the folder that holds a GGUF file's weights and tokenizer unpacked, where they are kept.
    """

    model: Any
    location: ModelLocation
    end_ids: frozenset[int]
    unpacked: Path | None = None


def load_model(config: ModelConfig, options: PyTorchConfig, base_dir: str, device: str) -> Loaded:
    """Load the weights onto the device.

    Raises:
        ModelError: not found, not allowed, unreadable, of another quantization than asked for, or too big.
    """
    location = locate_model(config.source, base_dir)
    keywords = arguments.pretrained_arguments(options, config, device)
    if (distributed := arguments.distributed_arguments(options)) is not None:
        from transformers.distributed.configuration_utils import DistributedConfig

        keywords["distributed_config"] = DistributedConfig(**distributed)
    quantizer = _quantization_config(arguments.quantizer(options, gguf=location.kind == "gguf"), config.source)
    if quantizer is not None:
        keywords["quantization_config"] = quantizer
    unpacked: Path | None = None
    with _model_errors(config, options):
        if location.kind == "random":
            model = _load_random(location, options, keywords)
        elif location.kind == "gguf":
            assert location.path is not None
            model, unpacked = _load_gguf(location.path, config, options, keywords)
        else:
            model = _load_stored(location, config, options, keywords)
    if (adapter := arguments.adapter_arguments(options)) is not None:
        with _model_errors(ModelConfig(source=adapter["source"], revision=adapter["revision"]), options):
            model = _adapt(model, adapter, base_dir)
    end_ids = _end_ids(model)
    # What a checkpoint suggests for generation (sampling, lengths, penalties) must not leak into a measurement.
    model.generation_config = transformers.GenerationConfig()  # type: ignore[no-untyped-call]
    return Loaded(model.eval().requires_grad_(False), location, end_ids, unpacked)


def load_tokenizer(config: ModelConfig, loaded: Loaded, base_dir: str, vocab_size: int) -> Tokenizer:
    """The model's tokenizer, or the one that the configuration names. Raises ModelError where there is none."""
    location = loaded.location
    if config.tokenizer is None and location.kind == "random":
        return ByteTokenizer(vocab_size)
    keywords: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    name: str | None = None
    if config.tokenizer is not None:
        folder = Path(base_dir, config.tokenizer)
        source = str(folder) if folder.is_dir() else config.tokenizer
    elif location.kind == "gguf":
        assert location.path is not None
        name = str(location.path)
        if loaded.unpacked is not None:
            source = str(loaded.unpacked)
        else:
            source, keywords["gguf_file"] = str(location.path.parent), location.path.name
    else:
        source = _reference(location)
        keywords["revision"] = config.revision or "main"
    try:
        tokenizer = TextTokenizer(transformers.AutoTokenizer.from_pretrained(source, **keywords), name or source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"its tokenizer cannot be loaded from {source}: {_first_line(error)}.",
            where=config.source,
            remedy="Name a tokenizer in model.tokenizer, a hub id or a folder.",
        ) from error
    largest = max(tokenizer.special_ids, default=0)
    if location.kind == "random" and largest >= vocab_size:
        raise ModelError(
            f"the tokenizer {config.tokenizer} has ids up to {largest}, the model's vocabulary ends at {vocab_size}.",
            where=config.source,
            remedy="Choose a tokenizer of the same vocabulary, or leave model.tokenizer out: bytes are counted then.",
        )
    return tokenizer


def hub_commit(config: ModelConfig, location: ModelLocation) -> str | None:
    """The commit of a hub model that was loaded, as the local cache knows it; None for other sources."""
    if location.kind != "hub":
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(location.name, "config.json", revision=config.revision)
    return Path(path).parent.name if isinstance(path, str) else None


def _reference(location: ModelLocation) -> str:
    return location.name if location.path is None else str(location.path)


def _load_stored(location: ModelLocation, config: ModelConfig, options: PyTorchConfig, keywords: dict[str, Any]) -> Any:
    reference = _reference(location)
    stored = transformers.AutoConfig.from_pretrained(
        reference, trust_remote_code=config.trust_remote_code, revision=config.revision or "main"
    )
    _check_quantization(getattr(stored, "quantization_config", None), config, options)
    return _whole(config.source, reference, config=stored, **keywords)


def _load_gguf(
    file: Path, config: ModelConfig, options: PyTorchConfig, keywords: dict[str, Any]
) -> tuple[Any, Path | None]:
    """The model, and the folder of its unpacked weights where there is one."""
    if options.quantization.method != "none":
        model = _whole(config.source, str(file.parent), gguf_file=file.name, **keywords)
        _check_packed(model, config, options)
        return model, None
    unpacked = UnpackedWeights(file)
    folder = unpacked.find() or unpacked.make(trust_remote_code=config.trust_remote_code)
    if folder is None:
        return _whole(config.source, str(file.parent), gguf_file=file.name, **keywords), None
    plain = {key: value for key, value in keywords.items() if key != "quantization_config"}
    return _whole(config.source, str(folder), **plain), folder


def _whole(source: str, reference: str, **keywords: Any) -> Any:
    """Load a checkpoint that has every weight: transformers draws missing ones at random, and only warns."""
    load: Any = transformers.AutoModelForCausalLM.from_pretrained  # typed as if it always returned the model alone
    model, found = load(reference, output_loading_info=True, **keywords)
    missing = sorted(str(name) for name in found["missing_keys"])
    if missing:
        raise ModelError(
            f"the checkpoint lacks {len(missing)} of the model's weights: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}.",
            where=source,
            remedy="Download it again; transformers would fill them with random numbers.",
        )
    return model


def _load_random(location: ModelLocation, options: PyTorchConfig, keywords: dict[str, Any]) -> Any:
    """Random weights, drawn on the device in their final dtype: nothing goes through host memory or float32."""
    if options.quantization.method == "loaded":
        raise ModelError(
            "random weights are not quantized, and quantization.method is loaded.",
            where=f"random:{location.name}",
            remedy="Say none, or a method that quantizes at load.",
        )
    content = dict(load_shape(location.name).config)
    config = transformers.CONFIG_MAPPING[content["model_type"]].from_dict(content)
    model_class: Any = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    keywords = {key: value for key, value in keywords.items() if key != "trust_remote_code"}
    quantizer = keywords.pop("quantization_config", None)
    if keywords["dtype"] == "auto" and config.dtype is None:
        keywords["dtype"] = "bfloat16"
    torch.manual_seed(RANDOM_SEED)
    # No checkpoint and an empty state: transformers draws every weight where and as it will be used.
    with _quiet():
        model = model_class.from_pretrained(None, config=config, state_dict={}, **keywords)
        if quantizer is None:
            return model
        state = model.state_dict()
        return model_class.from_pretrained(
            None, config=config, state_dict=state, quantization_config=quantizer, **keywords
        )


def _quantization_config(quantizer: arguments.Quantizer | None, source: str) -> Any:
    if quantizer is None:
        return None
    try:
        positional = []
        if quantizer.inner is not None:
            inner = getattr(importlib.import_module("torchao.quantization"), quantizer.inner)
            positional.append(inner(**quantizer.inner_arguments))
        return getattr(transformers, quantizer.config)(*positional, **quantizer.arguments)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"its quantization cannot be set up: {_first_line(error)}.",
            where=source,
            remedy="`llem doctor` and preflight say what to install.",
        ) from error


def _check_quantization(found: Any, config: ModelConfig, options: PyTorchConfig) -> None:
    """Check that the checkpoint is what the configuration says: it is part of what is measured."""
    method = options.quantization.method
    if found is None and method == "loaded":
        raise ModelError(
            "the checkpoint is not quantized, and quantization.method is loaded.",
            where=config.source,
            remedy="Say none, or a method that quantizes at load.",
        )
    if found is not None and method != "loaded":
        kind = found.get("quant_method") if isinstance(found, Mapping) else getattr(found, "quant_method", None)
        raise ModelError(
            f"the checkpoint is quantized ({getattr(kind, 'value', kind)}), and quantization.method is {method}.",
            where=config.source,
            remedy="Say quantization.method: loaded.",
        )


def _check_packed(model: Any, config: ModelConfig, options: PyTorchConfig) -> None:
    """transformers unpacks GGUF weights where it has no kernel, and only warns."""
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is None or not getattr(quantizer, "packed_modules", None):
        raise ModelError(
            "its weights could not be kept packed: transformers has no kernel for this architecture on this device.",
            where=config.source,
            remedy="Install the package kernels, or say quantization.method: none to unpack them.",
        )


def _adapt(model: Any, adapter: Mapping[str, Any], base_dir: str) -> Any:
    from peft import PeftModel

    folder = Path(base_dir, adapter["source"])
    source = str(folder) if folder.is_dir() else adapter["source"]
    # Adapters keep the dtype of the weights that they stand beside: float32 beside bfloat16 would cost a cast at each step.
    adapted = PeftModel.from_pretrained(model, source, revision=adapter["revision"], autocast_adapter_dtype=False)
    return adapted.merge_and_unload() if adapter["merge"] else adapted.base_model.model


def _end_ids(model: Any) -> frozenset[int]:
    found = model.generation_config.eos_token_id
    if found is None:
        found = model.config.get_text_config().eos_token_id
    if found is None:
        return frozenset()
    return frozenset(found if isinstance(found, list) else [found])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the report that every weight is missing from the checkpoint, which is what `random:` means."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)


@contextmanager
def _model_errors(config: ModelConfig, options: PyTorchConfig) -> Iterator[None]:
    """Says in one paragraph what stands in the way of a model, and what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            f"it does not fit into the memory of its device: {_first_line(error)}.",
            where=config.source,
            remedy="Choose a smaller dtype, quantization, device_map or tensor_parallel.",
        ) from error
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"it cannot be loaded: {_first_line(error)}.", where=config.source, remedy=_remedy(error, config, options)
        ) from error


def _remedy(error: BaseException, config: ModelConfig, options: PyTorchConfig) -> str:
    from huggingface_hub import errors as hub

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for kinds, remedy in (
        ((hub.GatedRepoError,), "Accept its licence on its hub page, then `hf auth login` or set HF_TOKEN."),
        ((hub.RevisionNotFoundError,), f"There is no revision {config.revision}; mend model.revision."),
        (
            (hub.RepositoryNotFoundError, hub.HFValidationError),
            "Mend the name; a private model needs `hf auth login` or HF_TOKEN; a folder needs ./ in front.",
        ),
        (
            (hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError, ConnectionError),
            f"It is not cached, and the hub cannot be reached: `hf download {config.source}` elsewhere, or name a folder.",
        ),
    ):
        if any(isinstance(link, kinds) for link in chain):
            return remedy
    if "trust_remote_code" in str(error) and not config.trust_remote_code:
        return "It brings its own code: read it, then set model.trust_remote_code: true."
    if isinstance(error, ImportError) and not options.model_fields_set:
        return "Install what the message names."
    return "Check that the files are complete and of an architecture that transformers knows."


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")
