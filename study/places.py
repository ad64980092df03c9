"""Where a study writes outside of its run folder: the image caches of this machine, and the logs."""

import os
from pathlib import Path

LOGS = Path("runs/.logs")
CACHE = Path(os.environ.get("STUDY_CACHE", "~/.cache/eyepair-study")).expanduser()
