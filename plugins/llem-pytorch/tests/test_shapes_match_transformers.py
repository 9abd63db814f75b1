"""Parameters counted from a configuration are those of the model that transformers builds from it."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from llem.models.flops import parameter_count
from llem_hub.architecture import architecture_of
from llem_hub.shapes import load_shape, shape_names

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("name", shape_names())
def test_a_shape_has_as_many_parameters_as_its_model(name: str) -> None:
    config = AutoConfig.for_model(**load_shape(name).config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    built = sum(parameter.numel() for parameter in model.parameters())
    for told in (load_shape(name).config, config.to_dict()):
        architecture = architecture_of(told)
        assert architecture is not None
        assert parameter_count(architecture)[0] == built


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "mixtral", "smollm3", "granite", "phi3"])
@pytest.mark.parametrize("tied", [False, True])
def test_every_counted_family_is_built_as_counted(family: str, tied: bool) -> None:
    config = AutoConfig.for_model(
        family,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        vocab_size=100,
        tie_word_embeddings=tied,
        pad_token_id=0,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    architecture = architecture_of(config.to_dict())
    assert architecture is not None
    assert parameter_count(architecture)[0] == sum(parameter.numel() for parameter in model.parameters())
