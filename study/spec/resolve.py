"""From a study file on disk to the study that runs: profile and settings applied, then checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.spec.bundles import require_effect
from study.spec.errors import SpecError, suggest
from study.spec.holes import Plain
from study.spec.reading import override, read_yaml
from study.spec.study_file import StudySpec


@dataclass(frozen=True)
class Resolved:
    """A checked study with what led to it.

    Attributes:
        spec: the study.
        profile: name of the profile that was taken.
        changes: what the profile set, by dotted key.
        data: the plain data of the study file after profile and settings.
    """

    spec: StudySpec
    profile: str
    changes: Mapping[str, Plain]
    data: Mapping[str, Any]


def resolve(path: Path, settings: Mapping[str, Any], profile: str, *, has_gpu: bool) -> Resolved:
    """Reads the study file, applies the profile, then the settings, and checks the result in every branch.

    Args:
        path: the study file.
        settings: values by dotted key; they win over the profile.
        profile: a name under `profiles`, or `auto`: `full` where the cluster has a GPU, else `laptop` if the
            file has it.
        has_gpu: whether the cluster has a GPU.

    Raises:
        SpecError: anything in the file, the profile or the settings is wrong, or a setting has no effect.
    """
    data = read_yaml(path)
    profiles = {"full": {}, **_profiles(data.pop("profiles", None) or {})}
    if profile == "auto":
        profile = "laptop" if "laptop" in profiles and not has_gpu else "full"
    if profile not in profiles:
        raise SpecError(
            f"`--profile`: must be one of the study file's profiles, got `{profile}`. "
            f"{suggest(profile, profiles)}"
        )
    changes = profiles[profile]
    data = override(override(data, changes), settings)
    spec = StudySpec.read(data)
    require_effect(spec.template, [*changes, *settings])
    return Resolved(spec, profile, changes, data)


def _profiles(section: Plain) -> dict[str, Mapping[str, Plain]]:
    """The settings of each profile by its name."""
    rule = "`profiles`: must map a profile's name to settings by dotted key"
    if not isinstance(section, Mapping):
        raise SpecError(f"{rule}, got {section!r}.")
    profiles = {}
    for name, settings in section.items():
        if not isinstance(settings, Mapping):
            raise SpecError(f"{rule}, got {settings!r} for {name}.")
        profiles[name] = settings
    return profiles
