"""The part of Triton's ModelConfig that we write, to parse ``config.pbtxt`` strictly.

Names, numbers and types are those of triton-inference-server/common, protobuf/model_config.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

_F = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _F.LABEL_OPTIONAL, _F.LABEL_REPEATED
_PACKAGE = "edgepipe_tests_triton"
_ENUMS = {
    "DataType": {"TYPE_INVALID": 0, "TYPE_INT32": 8, "TYPE_INT64": 9, "TYPE_FP16": 10}
    | {"TYPE_FP32": 11},
    "Kind": {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3},
}
_MESSAGES: dict[str, dict[str, tuple[int, Any, Any]]] = {
    "Input": {
        "name": (1, _F.TYPE_STRING, _ONE),
        "data_type": (2, "DataType", _ONE),
        "dims": (4, _F.TYPE_INT64, _MANY),
    },
    "Output": {
        "name": (1, _F.TYPE_STRING, _ONE),
        "data_type": (2, "DataType", _ONE),
        "dims": (3, _F.TYPE_INT64, _MANY),
        "label_filename": (4, _F.TYPE_STRING, _ONE),
    },
    "InstanceGroup": {"kind": (4, "Kind", _ONE), "count": (2, _F.TYPE_INT32, _ONE)},
    "DynamicBatching": {"max_queue_delay_microseconds": (2, _F.TYPE_UINT64, _ONE)},
    "Graph": {"level": (1, _F.TYPE_INT32, _ONE)},
    "Optimization": {"graph": (1, "Graph", _ONE)},
    "Value": {"string_value": (1, _F.TYPE_STRING, _ONE)},
    "Parameter": {"key": (1, _F.TYPE_STRING, _ONE), "value": (2, "Value", _ONE)},
    "ModelConfig": {
        "name": (1, _F.TYPE_STRING, _ONE),
        "backend": (17, _F.TYPE_STRING, _ONE),
        "max_batch_size": (4, _F.TYPE_INT32, _ONE),
        "input": (5, "Input", _MANY),
        "output": (6, "Output", _MANY),
        "instance_group": (7, "InstanceGroup", _MANY),
        "dynamic_batching": (11, "DynamicBatching", _ONE),
        "optimization": (12, "Optimization", _ONE),
        "parameters": (14, "Parameter", _MANY),
    },
}


def parse(text: str) -> Any:
    """The message in ``text``; an error for unknown fields and bad syntax."""
    return text_format.Parse(text, _MODEL_CONFIG())


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, values in _ENUMS.items():
        file.enum_type.add(name=name).value.extend(
            descriptor_pb2.EnumValueDescriptorProto(name=key, number=number)
            for key, number in values.items()
        )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, label) in fields.items():
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type = _F.TYPE_ENUM if kind in _ENUMS else _F.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.ModelConfig")
    return message_factory.GetMessageClass(found)


_MODEL_CONFIG = _message_class()
