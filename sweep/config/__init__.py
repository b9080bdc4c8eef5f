"""What defines a sweep: frozen, validated, kept in the database, and compared before it goes on."""

from sweep.config.architectures import MODEL, OF_SEVERAL, ArchitectureConfig, find_file, get_label
from sweep.config.changes import ChangeConfig
from sweep.config.limits import LimitsConfig
from sweep.config.sweep import (
    WHEREABOUTS,
    CandidateConfig,
    ConfirmationConfig,
    CurveConfig,
    DataConfig,
    OpenedConfig,
    OriginConfig,
    PrunerConfig,
    Recipe,
    SamplerConfig,
    SearchConfig,
    SweepConfig,
    Value,
    Variant,
    Whereabouts,
    describe_fault,
)

__all__ = [
    "MODEL",
    "OF_SEVERAL",
    "WHEREABOUTS",
    "ArchitectureConfig",
    "CandidateConfig",
    "ChangeConfig",
    "ConfirmationConfig",
    "CurveConfig",
    "DataConfig",
    "LimitsConfig",
    "OpenedConfig",
    "OriginConfig",
    "PrunerConfig",
    "Recipe",
    "SamplerConfig",
    "SearchConfig",
    "SweepConfig",
    "Value",
    "Variant",
    "Whereabouts",
    "describe_fault",
    "find_file",
    "get_label",
]
