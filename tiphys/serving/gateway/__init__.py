"""The gateway: riders' questions over HTTP in, an answer out, always; run it with ``python -m tiphys.serving.gateway``.

================= =================================================================================================
``messages``      a request, a response, a refusal: what all the others speak of
``exchange``      one request and the place for its answer
``connection``    one client's connection: how much it may send, for how long, and answers in the order of its questions
``server``        the HTTP/1.1 server: listens, and watches over its connections
``upstream``      the HTTP/1.1 client: kept connections to one server, each call with a deadline
``keys``          who asks: API keys, roles, rates, quotas
``quotas``        what of it outlives a restart
``admission``     how much may be in flight at once, in questions and in bytes
``tensors``       rows of numbers to and from the V2 inference protocol with binary tensors
``lane``          micro-batching: rows that wait for the same model travel together
``breaker``       when to stop asking who fails
``figures``       what one arm has answered, counted for the judge
``arms``          which models there are now: follows the agents beside the Tritons
``routing``       which arm a question goes to, and what happens when that arm fails
``fallback``      the status quo: the answer of last resort
``spool``         predictions and feedback on their way to S3, never in an answer's way
``predictions``   the lines of the prediction log
``terms``         on which terms a route is asked
``questions``     the typed routes: one question,
``batches``       a batch of them,
``feedback``      what came of an answer
``v2``            the V2 inference protocol over HTTP: bytes go on to Triton as they came
``v2_desk``       who may ask what through it, and which version answers; the same over gRPC
``v2_paths``      which paths of it there are
``v2_json``       whether Triton survives a question's JSON
``v2_head``       which model and version a message in protocol buffers names
``grpc_door``     that protocol over gRPC: the server
``grpc_upstream`` that protocol over gRPC: the client
``grpc_frames``   HTTP/2 frames, for both
``grpc_headers``  blocks of headers, and what they mean
``grpc_messages`` refusals in gRPC's words, and the frame around a message
``switchboard``   which part answers a path
``documents``     the description of the routes, as OpenAPI and as a page
``pages``         health, readiness, documents
``admin``         the admin port: arms, routes, metrics
``app``           all of it put together
================= =================================================================================================
"""
