"""The part of the command `aws` that the project's instructions use: aws SERVICE ACTION --name value ..."""

import sys
from pathlib import Path

import boto3
from botocore import xform_name


def main(service: str, action: str, *options: str) -> None:
    """Calls the action of the service; a value file://PATH is the content of that file."""
    client, method = boto3.client(service), action.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    names = {f"--{xform_name(name, '-')}": name for name in model.input_shape.members}
    given = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        text = Path(value.removeprefix("file://")).read_text() if value.startswith("file://") else value
        given[names[option]] = text
    getattr(client, method)(**given)


if __name__ == "__main__":
    main(*sys.argv[1:])
