"""Run by the environment of requirements.txt: one bucket, one user who may do all with it, and nobody else.

Prints one line of JSON when it is up: endpoint, access_key, secret_key, bucket. Ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", default="models")
    parser.add_argument("files", nargs="*", metavar="KEY=FILE", help="what the bucket holds")
    arguments = parser.parse_args()
    server = ThreadedMotoServer(ip_address=arguments.bind, port=arguments.port, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://{arguments.bind}:{port}"
    options = {
        "endpoint_url": endpoint,
        "region_name": REGION,
        "aws_access_key_id": "root",
        "aws_secret_access_key": "root",
    }
    storage = boto3.client("s3", **options)
    storage.create_bucket(Bucket=arguments.bucket)
    for entry in arguments.files:
        key, _, file = entry.partition("=")
        storage.put_object(Bucket=arguments.bucket, Key=key, Body=Path(file).read_bytes())
    users = boto3.client("iam", **options)
    users.create_user(UserName="reader")
    users.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    key = users.create_access_key(UserName="reader")["AccessKey"]
    # From now on every request has to be signed by somebody who may.
    order = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})  # noqa: S310
    urllib.request.urlopen(order).close()  # noqa: S310
    told = {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
    print(json.dumps({"endpoint": endpoint, "bucket": arguments.bucket, **told}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
