"""A gRPC server by Google's own library that says of itself and of `pay.v1` that it serves, and of `slow.v1` that it does not."""

import sys
from concurrent import futures

import grpc


def check(request, context):
    # One text, field 1: the service's name.
    name = request[2:].decode()
    if name not in ("", "pay.v1", "slow.v1"):
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, 2 if name == "slow.v1" else 1])


server = grpc.server(futures.ThreadPoolExecutor(2))
handler = grpc.unary_unary_rpc_method_handler(check)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
)
if server.add_insecure_port(sys.argv[1]) == 0:
    sys.exit(f"cannot listen at {sys.argv[1]}")
server.start()
server.wait_for_termination()
