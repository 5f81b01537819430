"""A service node in Python: the functions of examples/service_node.rs, for gateways to pull and call. Start it with ./run."""
import hmac, inspect, json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
import grpc, node_pb2 as pb, node_pb2_grpc as rpc

SECRET = f"Bearer {os.environ.get('CLUSTER_SECRET', 'only-for-this-example')}".encode()
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 9002

def greet(name):
    return f"Hello, {name}! This is Python"
def count(to):
    for number in range(1, to + 1):
        yield number
        time.sleep(0.1)
def config(request_type, args, **more):
    return {"service": "greeter", "request_type": request_type, "mfa": ["greeter", request_type, []], "nodes": "local",
            "arg_types": args, "arg_orders": list(args), **more}
FUNCTIONS = {("greeter", "greet"): greet, ("greeter", "count"): count, ("GenApi", "config_version"): lambda _: "python-1",
             ("GenApi", "configs"): lambda _: [config("greet", {"name": "string"}), config("count", {"to": "num"}, response_type="stream")]}

class Failure(Exception): pass  # The kind and the text. What a function raises itself is of the kind PANICKED.
def failed(error):
    kind, text = error.args if isinstance(error, Failure) else (pb.FAILURE_KIND_PANICKED, repr(error))
    return pb.Failure(kind=kind, message=text)
def call(request):
    args = json.loads(request.args)
    if getattr(request, "append_info", False):
        args.append({key: getattr(request, key) or None for key in ("request_id", "user_id", "device_id")})
    if (function := FUNCTIONS.get((request.module, request.function))) is None:
        raise Failure(pb.FAILURE_KIND_NOT_FOUND, f"{request.module}.{request.function}")
    try: inspect.signature(function).bind(*args)
    except TypeError as error: raise Failure(pb.FAILURE_KIND_ARGUMENTS, str(error))
    return function(*args)

class Node(rpc.NodeServicer):
    def Invoke(self, request, context):
        try: return pb.InvokeReply(value=json.dumps(call(request)).encode())
        except Exception as error: return pb.InvokeReply(failure=failed(error))
    GetConfig = ConfigVersion = Invoke
    def InvokeStream(self, request, context):
        try:
            chunks = call(request)
            yield pb.StreamItem(accepted=pb.Accepted())
            yield from (pb.StreamItem(chunk=json.dumps(chunk).encode()) for chunk in chunks)
        except Exception as error: yield pb.StreamItem(failure=failed(error))
    def FunctionExists(self, request, context):
        return pb.FunctionExistsReply(exists=(request.module, request.function) in FUNCTIONS)
class Guard(grpc.ServerInterceptor):
    def intercept_service(self, continuation, call):
        shown = [value.encode() for key, value in call.invocation_metadata if key == "authorization"]
        if len(shown) == 1 and hmac.compare_digest(shown[0], SECRET): return continuation(call)
        return grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, ""))

options = {"grpc.http2.max_ping_strikes": 0, "grpc.keepalive_permit_without_calls": 1, "grpc.so_reuseport": 0}
server = grpc.server(ThreadPoolExecutor(32), interceptors=[Guard()], options=options.items())
rpc.add_NodeServicer_to_server(Node(), server)
print("a node in Python takes calls at", f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{PORT}')}", flush=True)
server.start()
server.wait_for_termination()
