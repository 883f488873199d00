//! What the guest has to hear of at once, and what can wait.

use super::*;

/// Whether what the guest was sent since this was last asked was urgent.
fn was_urgent(bench: &mut Bench) -> bool {
    std::mem::take(&mut bench.was_urgent)
}

#[test]
fn only_the_end_of_what_the_guest_has_closed_can_wait() {
    let mut bench = Bench::with(LIMITS, true);
    let mut end = bench.open(80, 1000);
    assert!(was_urgent(&mut bench), "a connection was agreed to");
    bench.send_data(80, 1000, b"from the guest", 1);
    assert!(!was_urgent(&mut bench), "the guest was sent nothing");
    end.write_all(b"to the guest").unwrap();
    bench.pump();
    assert!(was_urgent(&mut bench), "data");
    bench.expect(Operation::Data);
    bench.shut_down(80, 1000, NO_RECEIVE | NO_SEND);
    bench.expect(Operation::Reset);
    assert!(!was_urgent(&mut bench), "its program has closed it");
    bench.send(Operation::Request, 100, 1000);
    bench.expect(Operation::Reset);
    assert!(was_urgent(&mut bench), "a program waits for the refusal");
}

#[test]
fn what_waits_for_room_is_urgent() {
    let mut bench = Bench::with(LIMITS, true);
    let mut end = bench.open(80, 1000);
    while bench.guest.receive().is_some() {}
    was_urgent(&mut bench);
    // More than all buffers of the guest take.
    end.write_all(&[7; 100_000]).unwrap();
    bench.pump();
    assert!(bench.table.has_packets());
    assert!(was_urgent(&mut bench));
}
