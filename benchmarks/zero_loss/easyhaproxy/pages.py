"""Run while the image is built: write the files that EasyHAProxy expects to find."""

from __future__ import annotations

import sys
from pathlib import Path

from functions.pages import asset_files


base = Path(sys.argv[1])
for name, text in asset_files().items():
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
for name in ("certs/certbot", "certs/haproxy", "haproxy/conf.d"):
    (base / name).mkdir(parents=True, exist_ok=True)
