"""Names of objects in Kubernetes, as the configuration writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
Namespace = Annotated[str, Field(pattern=rf"^{_LABEL}$", examples=["feedback"])]
ObjectName = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253, examples=["feedback-webhook"])]
