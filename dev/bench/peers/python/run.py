"""Starts the handler that PEER_HANDLER names under AWS's own runtime client."""

import os
import sys

# The native half of awslambdaric puts the scheme in front itself.
os.environ["AWS_LAMBDA_RUNTIME_API"] = os.environ["AWS_LAMBDA_RUNTIME_API"].removeprefix("http://")
sys.path.insert(0, os.environ["PEER_DIRECTORY"])

from awslambdaric.__main__ import main  # noqa: E402

main(["awslambdaric", os.environ["PEER_HANDLER"] + ".handler"])
