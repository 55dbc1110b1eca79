"""librdkafka told that the broker is of an old release: it produces messages of magic 0 or 1 in each codec and reads them."""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition

OPT = dict(a.split("=", 1) for a in sys.argv[1:])
OLD = {"bootstrap.servers": OPT["bootstrap"], "api.version.request": False, "broker.version.fallback": OPT["release"]}
COUNT, CODECS = int(OPT["count"]), OPT["codecs"].split(",")


def delivered(err, _):
    if err is not None:
        raise SystemExit(f"fatal: {err}")


for codec in CODECS:
    producer = Producer({**OLD, "compression.type": codec, "linger.ms": 20, "batch.num.messages": 20, "message.timeout.ms": 20000})
    for i in range(COUNT):
        producer.produce(OPT["topic"], f"{codec}|{i}|".ljust(60, "x"), key=str(i), partition=0, on_delivery=delivered)
    if producer.flush(30) > 0:
        raise SystemExit("fatal: not all was delivered")

consumer = Consumer({**OLD, "group.id": "none", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
consumer.assign([TopicPartition(OPT["topic"], 0, 0)])
left = COUNT * len(CODECS)
while left > 0:
    message = consumer.poll(20)
    if message is None:
        raise SystemExit("fatal: no more records within 20 s")
    if message.error():
        raise SystemExit(f"fatal: {message.error()}")
    print("rec", message.offset(), message.value().decode(), flush=True)
    left -= 1
consumer.close()
