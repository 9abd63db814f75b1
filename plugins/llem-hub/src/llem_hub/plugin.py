"""The registration of llem-hub: the check of models, and datasets that come from the hub."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CheckSpec, DatasetSpec, hookimpl


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """The check `models`."""
    return [
        CheckSpec(
            name="models",
            api_version=API_VERSION,
            summary="models and tokenizers are there: folders and files, and names of the hub",
            check="llem_hub.model_check:check_models",
        )
    ]


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """The datasets `aienergyscore:official` and `hub`."""
    return [
        DatasetSpec(
            name="aienergyscore:official",
            api_version=API_VERSION,
            summary="the genuine AIEnergyScore/text_generation, from the hub or a local file (dataset.path), checked",
            loader="llem_hub.official:load",
        ),
        DatasetSpec(
            name="hub",
            api_version=API_VERSION,
            summary="a dataset of the Hugging Face hub (dataset.path, split, revision)",
            loader="llem_hub.hub_dataset:load",
            requires=("datasets",),
            install="pip install 'llem[hub]'",
        ),
    ]
