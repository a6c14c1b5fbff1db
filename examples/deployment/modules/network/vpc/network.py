"""The ids of a network as AWS would give them: new ones where its addresses change."""

import hashlib
import json
import os


def resource_id(kind, *parts):
    return f"{kind}-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:8]}"


cidr = os.environ["SEEDFARMER_PARAMETER_CIDR"]
zones = json.loads(os.environ["SEEDFARMER_PARAMETER_ZONES"])
print(
    json.dumps(
        {
            "VpcId": resource_id("vpc", cidr),
            "Subnets": [resource_id("subnet", cidr, zone) for zone in zones],
        }
    )
)
