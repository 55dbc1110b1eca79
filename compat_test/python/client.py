"""The librdkafka client of the suite, through confluent-kafka: produces and consumes, as ../clients.go describes."""

import random
import signal
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

OPT = dict(a.split("=", 1) for a in sys.argv[1:])
PARTITIONS = int(OPT["partitions"])
OUT = threading.Lock()


def say(line):
    with OUT:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def value(codec, partition, seq):
    return f"{OPT['client']}|{codec}|{partition}|{seq}|".ljust(100, "x")


def on_error(err):
    sys.stderr.write(f"error_cb {'fatal ' if err.fatal() else ''}{err}\n")


def produce(codec):
    producer = Producer({
        "bootstrap.servers": OPT["bootstrap"],
        "client.id": OPT["client"],
        "enable.idempotence": True,
        "compression.type": codec,
        "linger.ms": 5,
        "message.timeout.ms": 180000,
        "socket.timeout.ms": 10000,
        "reconnect.backoff.max.ms": 500,
        "error_cb": on_error,
    })

    def delivered(partition, seq):
        def callback(err, msg):
            if err is not None:
                say(f"fail {codec} {partition} {seq} {'fatal ' if err.fatal() else ''}{err}")
            else:
                say(f"ack {codec} {msg.partition()} {seq} {msg.offset()}")
        return callback

    count, millis = int(OPT["count"]), int(OPT["millis"])
    start = time.monotonic()
    sent = 0
    while sent < count:
        due = min(count, max(1, int((time.monotonic() - start) * 1000 / millis * count)))
        for i in range(sent, due):
            partition, seq = i % PARTITIONS, i // PARTITIONS
            producer.produce(OPT["topic"], value(codec, partition, seq), partition=partition,
                             on_delivery=delivered(partition, seq))
        sent = due
        producer.poll(0.05)
    left = producer.flush(180)
    if left:
        sys.stderr.write(f"fatal: {left} records neither delivered nor failed\n")


def consume():
    consumer = Consumer({
        "bootstrap.servers": OPT["bootstrap"],
        "group.id": "not-used",
        "enable.auto.commit": False,
        "enable.partition.eof": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
        "error_cb": on_error,
    })
    ends = [int(e) for e in OPT["ends"].split(",")]
    left = {p for p, e in enumerate(ends) if e > 0}
    consumer.assign([TopicPartition(OPT["topic"], p, 0) for p in left])
    while left:
        for msg in consumer.consume(1000, 1.0):
            if msg.error():
                sys.stderr.write(f"fatal {msg.error()}\n")
                sys.exit(1)
            say(f"rec {msg.partition()} {msg.offset()} {msg.value().decode()}")
            if msg.offset() + 1 >= ends[msg.partition()]:
                left.discard(msg.partition())
    consumer.close()


def member():
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    conf = {
        "bootstrap.servers": OPT["bootstrap"],
        "client.id": OPT["client"],
        "group.id": OPT["group"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "reconnect.backoff.max.ms": 500,
        "error_cb": on_error,
    }
    if OPT["protocol"] == "consumer":
        conf["group.protocol"] = "consumer"
    else:
        conf["session.timeout.ms"] = 10000
        conf["heartbeat.interval.ms"] = 500
        conf["partition.assignment.strategy"] = "cooperative-sticky" if OPT["protocol"] == "cooperative" else "range"
    consumer = Consumer(conf)

    def tell(kind):
        def callback(_, partitions):
            for tp in partitions:
                say(f"{kind} {int(time.time() * 1000)} {tp.partition}")
        return callback

    consumer.subscribe([OPT["topic"]], on_assign=tell("own"), on_revoke=tell("lose"), on_lost=tell("lose"))
    while not leave.is_set():
        ends = {}
        for msg in consumer.consume(100, 0.2):
            if msg.error():
                sys.stderr.write(f"went on after {msg.error()}\n")
                continue
            say(f"did {int(time.time() * 1000)} {msg.partition()} {msg.offset()}")
            ends[msg.partition()] = msg.offset() + 1
        if ends:
            try:
                done = consumer.commit(offsets=[TopicPartition(OPT["topic"], p, o) for p, o in ends.items()], asynchronous=False)
                for tp in done:
                    if tp.error is None:
                        say(f"commit {int(time.time() * 1000)} {tp.partition} {tp.offset}")
            except KafkaException as e:
                sys.stderr.write(f"went on after {e}\n")
    consumer.close()


def copy():
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    consumer = Consumer({
        "bootstrap.servers": OPT["bootstrap"],
        "group.id": OPT["group"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "session.timeout.ms": 10000,
        "heartbeat.interval.ms": 500,
        "reconnect.backoff.max.ms": 500,
        "error_cb": on_error,
    })
    consumer.subscribe([OPT["topic"]])

    def back():
        """Lets the consumer go on where its group is."""
        mine = consumer.assignment()
        for tp in consumer.committed(mine, 10) if mine else []:
            consumer.seek(TopicPartition(tp.topic, tp.partition, max(tp.offset, 0)))

    producer = None
    while not leave.is_set():
        try:
            if producer is None:
                producer = Producer({
                    "bootstrap.servers": OPT["bootstrap"],
                    "transactional.id": OPT["txnid"],
                    "transaction.timeout.ms": 15000,
                    "reconnect.backoff.max.ms": 500,
                    "socket.timeout.ms": 5000,
                })
                producer.init_transactions(20)
                back()
            messages = [m for m in consumer.consume(50, 0.2) if not m.error()]
            if not messages:
                continue
            producer.begin_transaction()
            ends = {}
            for m in messages:
                producer.produce(OPT["to"], m.value(), partition=m.partition())
                producer.produce(OPT["to"], m.value() + b"'", partition=(m.partition() + 1) % PARTITIONS)
                ends[m.partition()] = m.offset() + 1
            if random.randrange(5) == 0:
                producer.flush(10)
                producer.abort_transaction(20)
                back()
                continue
            offsets = [TopicPartition(OPT["topic"], p, o) for p, o in ends.items()]
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 20)
            producer.commit_transaction(20)
            say(f"copied {len(messages)}")
        except KafkaException as e:
            sys.stderr.write(f"went on after {e}\n")
            producer = None
            if e.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED):
                say("fenced")
                break
    consumer.close()


if OPT["mode"] == "consume":
    consume()
elif OPT["mode"] == "copy":
    copy()
elif OPT["mode"] == "member":
    member()
else:
    threads = [threading.Thread(target=produce, args=(c,)) for c in OPT["codecs"].split(",")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
say("end")
