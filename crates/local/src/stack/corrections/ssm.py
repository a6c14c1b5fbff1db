"""Parameter Store: tiers, and long listings."""

from ministack.core.responses import json_response
from ministack.services import ssm

from .replacing import replace

# --- Parameter Store ----------------------------------------------------------------------------------------
# Intelligent-Tiering chooses a tier; the emulator stores it as if it were one. The proxy can't correct that:
# the request is signed.


@replace(ssm, "_put_parameter")
def put_parameter(original, data):
    if data.get("Tier") == "Intelligent-Tiering":
        _, existing = ssm._lookup_parameter(data.get("Name"))
        advanced = (existing or {}).get("Tier") == "Advanced" or len(str(data.get("Value", "")).encode()) > 4096
        data = {**data, "Tier": "Advanced" if advanced else "Standard"}
    return original(data)


# For each page of ten the emulator sorts all parameters that it stores, so 500 modules take longer to read than on AWS. Here the
# pages of a listing are of what was there at its first page.

listings = {}


@replace(ssm, "_get_parameters_by_path")
def get_parameters_by_path(_original, data):
    folder = data.get("Path", "/").rstrip("/") + "/"
    recursive = bool(data.get("Recursive"))
    listing = (ssm._parameters._prefix(), folder, recursive)
    start = ssm._decode_next_token(data["NextToken"]) if data.get("NextToken") else 0
    if start == 0 or listing not in listings:
        below = (name for name in ssm._parameters if name.startswith(folder))
        listings[listing] = sorted(name for name in below if recursive or "/" not in name[len(folder) :])
    names = listings[listing]
    end = start + data.get("MaxResults", ssm.DEFAULT_PAGE_SIZE)
    found = (ssm._parameters.get(name) for name in names[start:end])
    answer = {"Parameters": [ssm._param_out(one, data.get("WithDecryption", False)) for one in found if one]}
    if end < len(names):
        answer["NextToken"] = ssm._encode_next_token(end)
    return json_response(answer)
