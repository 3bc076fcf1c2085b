"""JSON of the V2 inference protocol: what goes on to Triton, and what would end it."""

from __future__ import annotations

import pytest

from tiphys.serving.gateway.v2_json import JSON_CAP, JsonError, check

pytestmark = pytest.mark.unit

TENSOR = b'{"inputs":[{"name":"x","datatype":"INT64","shape":%b,"data":[1]%b}]}'


@pytest.mark.parametrize(
    "text",
    [
        TENSOR % (b"[1,1]", b""),
        TENSOR % (b"[]", b""),
        TENSOR % (b"[0,1]", b',"parameters":{"binary_data_size":8}'),
        b"{}",
        b'{"inputs":[],"outputs":[{"name":"y"}],"id":"\\ud83d\\ude00","parameters":{"priority":1}}',
    ],
)
def test_ordinary_questions_go_on(text: bytes) -> None:
    """Even those that Triton will refuse in its own words."""
    check(text)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}{}", b"\xef\xbb\xbf{}", b'{"inputs":1}', b'{"inputs":[1]}',
        b"[" * 200_000, b'{"a":' * 40_000, b" " * JSON_CAP + b"{}", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1,"a":2}',
        TENSOR % (b'[1,1],"shape":[9223372036854775807,9]', b""),
        TENSOR % (b'[1,1],"sh\\u0061pe":[9223372036854775807,9]', b""),
        TENSOR % (b"[9223372036854775807,9]", b""), TENSOR % (b"[2147483648,2147483648]", b""),
        TENSOR % (b"[-1,1]", b""), TENSOR % (b"[1e18]", b""), TENSOR % (b"[1.0]", b""), TENSOR % (b"[true]", b""),
        TENSOR % (b"4", b""), TENSOR % (b"[3000,3000]", b""), TENSOR % (b"[0,99999999999]", b""),
        TENSOR % (b"[" + b"9" * 5000 + b"]", b""), TENSOR % (b"[" + b"1," * 8 + b"1]", b""),
        TENSOR % (b"[1]", b',"parameters":{"binary_data_size":-4}'), TENSOR % (b"[1]", b',"parameters":{"binary_data_size":1e18}'),
        TENSOR % (b"[1]", b',"parameters":{"shared_memory_region":"x"}'), TENSOR % (b"[1]", b',"parameters":[]'),
    ],
)  # fmt: skip
def test_what_could_end_triton_does_not_go_on(text: bytes) -> None:
    """Nesting, shapes, sizes, shared memory, names twice, and what is no JSON."""
    with pytest.raises(JsonError):
        check(text)
