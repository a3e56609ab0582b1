from probe import packing, wire
from probe.outbox import Outbox


def batch(seq: int, *, rows: int = 10, marks=(), facts=()) -> wire.Batch:
    start = 10 * seq - 9
    return wire.Batch(
        seq=seq,
        start=start,
        rows=rows,
        times_s=packing.pack_floats([float(start + row) for row in range(rows)]),
        scalars={"train/loss": wire.Column(values=packing.pack_floats([0.5] * rows))},
        marks=list(marks),
        facts=list(facts),
    )


def sent(outbox: Outbox) -> list[wire.Batch]:
    return [wire.decode(payload) for payload in outbox.unsent()]


def filled(count: int, limit_batches: float) -> Outbox:
    outbox = Outbox(limit_bytes=int(limit_batches * len(wire.encode(batch(1)))))
    for seq in range(1, count + 1):
        outbox.add(batch(seq))
    return outbox


def test_frames_are_sent_once_and_in_order():
    outbox = filled(3, limit_batches=100)

    assert [b.seq for b in sent(outbox)] == [1, 2, 3]
    assert sent(outbox) == []


def test_a_frame_that_the_socket_did_not_take_is_offered_again():
    outbox = filled(3, limit_batches=100)

    for payload in outbox.unsent():
        if wire.decode(payload).seq == 2:
            break

    assert [b.seq for b in sent(outbox)] == [2, 3]


def test_what_is_not_acknowledged_is_sent_again_to_a_new_recorder():
    outbox = filled(4, limit_batches=100)
    sent(outbox)
    outbox.acknowledge(2)
    outbox.rewind()

    assert [b.seq for b in sent(outbox)] == [3, 4]


def test_an_acknowledgement_frees_the_room():
    outbox = filled(4, limit_batches=100)
    sent(outbox)
    outbox.acknowledge(4)

    assert len(outbox) == 0


def test_beyond_the_limit_one_gap_takes_the_place_of_the_oldest():
    outbox = filled(40, limit_batches=32)

    gap, first, *_ = sent(outbox)

    assert (gap.first_seq, gap.seq, gap.rows) == (1, first.seq - 1, 0)
    assert [(mark.kind, mark.step, mark.time_s) for mark in gap.marks] == [("gap", 1, 1.0)]
    assert outbox.dropped == gap.seq


def test_the_numbers_stay_without_a_hole_whatever_is_given_up():
    outbox = filled(500, limit_batches=7.5)

    batches = sent(outbox)

    assert batches[0].first_seq == 1
    assert [b.first_seq or b.seq for b in batches[1:]] == [b.seq + 1 for b in batches[:-1]]
    assert batches[-1].seq == 500


def test_a_gap_that_is_on_its_way_is_not_told_twice():
    outbox = filled(40, limit_batches=32)
    first_gap = sent(outbox)[0]
    for seq in range(41, 81):
        outbox.add(batch(seq))

    second_gap = sent(outbox)[0]

    assert second_gap.first_seq == first_gap.seq + 1
    assert second_gap.marks[0].step == 10 * first_gap.seq + 1


def test_marks_and_facts_of_what_is_given_up_are_kept():
    outbox = Outbox(limit_bytes=3000)
    mark = wire.Mark(step=1, time_s=1.0, text="stage 2")
    old, new = (wire.Fact(step=step, name="epoch", value=step) for step in (1, 2))
    outbox.add(batch(1, marks=[mark], facts=[old]))
    outbox.add(batch(2, facts=[new]))
    for seq in range(3, 40):
        outbox.add(batch(seq))

    gap = sent(outbox)[0]

    assert gap.marks[1:] == [mark]
    assert gap.facts == [new]


def test_a_single_batch_beyond_the_limit_is_sent_all_the_same():
    outbox = Outbox(limit_bytes=10)
    outbox.add(batch(1))

    assert sent(outbox) == [batch(1)]
