//! Connections by example, and against a small model.

use proptest::prelude::*;

use super::*;
use crate::packet::{HOST, STREAM};

const BUFFER: u32 = 1000;

fn packet(operation: Operation, flags: u32, length: u32) -> Header {
    Header {
        source_cid: 3,
        destination_cid: HOST,
        source_port: 1,
        destination_port: 2,
        length,
        kind: STREAM,
        operation,
        flags,
        buffer: 500,
        forwarded: 0,
    }
}

/// A connection that the guest asked for, and which it knows to be open.
fn open() -> Connection {
    let mut connection = Connection::accept(BUFFER, &packet(Operation::Request, 0, 0));
    let response = control(Operation::Response, 0);
    assert_eq!(connection.before_data(), Some(response));
    connection
}

#[test]
fn a_request_of_the_host_waits_for_the_answer() {
    let mut connection = Connection::request(BUFFER);
    assert!(connection.is_requested() && !connection.is_known());
    // The guest cannot answer what it has not heard.
    assert_eq!(
        connection.hear(&packet(Operation::Response, 0, 0)),
        Meaning::Violation
    );
    assert_eq!(
        connection.before_data(),
        Some(control(Operation::Request, 0))
    );
    assert_eq!(connection.before_data(), None);
    assert!(connection.is_known());
    assert_eq!((connection.room(), connection.after_data()), (0, None));
    assert_eq!(
        connection.hear(&packet(Operation::Response, 0, 0)),
        Meaning::Opened
    );
    assert_eq!(connection.room(), 500);
    assert_eq!(
        connection.hear(&packet(Operation::Response, 0, 0)),
        Meaning::Violation
    );
}

#[test]
fn a_guest_that_does_not_agree_cannot_do_anything_else() {
    for operation in [
        Operation::Data,
        Operation::Shutdown,
        Operation::CreditUpdate,
        Operation::CreditRequest,
        Operation::Request,
        Operation::Unknown(9),
    ] {
        let mut connection = Connection::request(BUFFER);
        connection.before_data();
        let meaning = connection.hear(&packet(operation, 3, 1));
        assert_eq!(meaning, Meaning::Violation, "{operation:?}");
    }
}

#[test]
fn more_than_the_buffer_is_a_violation() {
    let mut connection = open();
    assert_eq!(
        connection.hear(&packet(Operation::Data, 0, 600)),
        Meaning::Data
    );
    assert_eq!(
        connection.hear(&packet(Operation::Data, 0, 401)),
        Meaning::Violation
    );
    assert_eq!(
        connection.hear(&packet(Operation::Data, 0, u32::MAX)),
        Meaning::Violation
    );
    connection.forward(600);
    assert_eq!(
        connection.hear(&packet(Operation::Data, 0, 1000)),
        Meaning::Data
    );
}

#[test]
fn each_direction_ends_once() {
    let mut connection = open();
    assert_eq!(
        connection.hear(&packet(Operation::Shutdown, NO_SEND, 0)),
        Meaning::Ended
    );
    assert!(!connection.guest_sends() && connection.guest_receives());
    assert_eq!(
        connection.hear(&packet(Operation::Data, 0, 1)),
        Meaning::Violation
    );
    assert_eq!(connection.room(), 500);
    // Flags add up.
    assert_eq!(
        connection.hear(&packet(Operation::Shutdown, NO_RECEIVE, 0)),
        Meaning::Closed
    );
    assert_eq!(connection.room(), 0);
}

#[test]
fn a_host_that_takes_no_more_has_the_guest_told() {
    let mut connection = open();
    connection.end(NO_RECEIVE);
    let shutdown = control(Operation::Shutdown, NO_RECEIVE);
    assert_eq!(connection.after_data(), Some(shutdown));
    assert_eq!(connection.after_data(), None);
    // What is under way is thrown away, and does not fill the buffer.
    for _ in 0..3 {
        assert_eq!(
            connection.hear(&packet(Operation::Data, 0, 1000)),
            Meaning::Discarded
        );
    }
    assert!(!connection.is_over());
    connection.end(NO_SEND);
    assert_eq!(
        connection.after_data(),
        Some(control(Operation::Shutdown, 3))
    );
    assert!(connection.is_over());
    assert_eq!(connection.room(), 0);
}

#[test]
fn room_is_asked_for_once() {
    let mut connection = open();
    connection.send(500);
    assert_eq!(connection.room(), 0);
    let request = control(Operation::CreditRequest, 0);
    assert_eq!(connection.lacks_room(), Some(request));
    assert_eq!(connection.lacks_room(), None);
    let told = Header {
        forwarded: 200,
        ..packet(Operation::CreditUpdate, 0, 0)
    };
    assert_eq!(connection.hear(&told), Meaning::Nothing);
    assert_eq!(connection.room(), 200);
}

#[test]
fn a_guest_that_asks_for_room_is_told() {
    let mut connection = open();
    assert_eq!(
        connection.hear(&packet(Operation::CreditRequest, 0, 0)),
        Meaning::Nothing
    );
    assert_eq!(
        connection.after_data(),
        Some(control(Operation::CreditUpdate, 0))
    );
    assert_eq!(connection.announce(), (BUFFER, 0));
    assert_eq!(connection.after_data(), None);
}

/// What may happen to a connection, in any order.
#[derive(Debug, Clone)]
enum ConnectionStep {
    Hear(Operation, u32, u32),
    StreamTakes(usize),
    HostEnds(u32),
    Turn(usize),
}

fn step() -> impl Strategy<Value = ConnectionStep> {
    let operation = prop_oneof![
        1 => Just(Operation::Response),
        1 => Just(Operation::Shutdown),
        6 => Just(Operation::Data),
        1 => Just(Operation::CreditUpdate),
        1 => Just(Operation::CreditRequest),
    ];
    prop_oneof![
        4 => (operation, 0..4_u32, 0..400_u32).prop_map(|(o, f, l)| ConnectionStep::Hear(o, f, l)),
        2 => (0..400_usize).prop_map(ConnectionStep::StreamTakes),
        1 => (1..3_u32).prop_map(ConnectionStep::HostEnds),
        4 => (1..300_usize).prop_map(ConnectionStep::Turn),
    ]
}

/// What an observer between guest and host knows.
#[derive(Debug, Default)]
struct Model {
    open: bool,
    held: usize,
    sent: usize,
    guest_ended: u32,
    host_ended: u32,
    told: u32,
}

impl Model {
    fn hear(&mut self, operation: Operation, flags: u32, length: u32) -> Meaning {
        match operation {
            Operation::Response if !self.open => {
                self.open = true;
                Meaning::Opened
            }
            _ if !self.open => Meaning::Violation,
            Operation::CreditUpdate | Operation::CreditRequest => Meaning::Nothing,
            Operation::Data if self.guest_ended & NO_SEND != 0 => Meaning::Violation,
            Operation::Data if self.held + length as usize > BUFFER as usize => Meaning::Violation,
            Operation::Data if self.host_ended & NO_RECEIVE != 0 => Meaning::Discarded,
            Operation::Data => {
                self.held += length as usize;
                Meaning::Data
            }
            Operation::Shutdown => {
                self.guest_ended |= flags;
                if self.guest_ended == 3 {
                    Meaning::Closed
                } else {
                    Meaning::Ended
                }
            }
            _ => Meaning::Violation,
        }
    }
}

/// One packet to the guest, as the table makes it. Returns what was sent.
fn turn(connection: &mut Connection, waiting: usize) -> (Option<Operation>, u32, usize) {
    let next = if let Some(control) = connection.before_data() {
        (Some(control.operation), control.flags, 0)
    } else if connection.room() > 0 {
        let count = waiting.min(connection.room() as usize);
        connection.send(count);
        (Some(Operation::Data), 0, count)
    } else {
        let control = connection.after_data();
        (
            control.map(|c| c.operation),
            control.map_or(0, |c| c.flags),
            0,
        )
    };
    if next.0.is_some() {
        connection.announce();
    }
    next
}

fn check(steps: &[ConnectionStep]) -> Result<(), TestCaseError> {
    let mut connection = Connection::request(BUFFER);
    let mut model = Model::default();
    prop_assert_eq!(turn(&mut connection, 0).0, Some(Operation::Request));
    for step in steps {
        match *step {
            ConnectionStep::Hear(operation, flags, length) => {
                let meaning = connection.hear(&packet(operation, flags, length));
                prop_assert_eq!(meaning, model.hear(operation, flags, length));
                if matches!(meaning, Meaning::Violation | Meaning::Closed) {
                    return Ok(());
                }
            }
            ConnectionStep::StreamTakes(count) => {
                let count = count.min(model.held);
                connection.forward(count);
                model.held -= count;
            }
            ConnectionStep::HostEnds(flags) => {
                connection.end(flags);
                model.host_ended |= flags;
            }
            ConnectionStep::Turn(waiting) => {
                let (operation, flags, count) = turn(&mut connection, waiting);
                model.sent += count;
                // The guest passes nothing on here, so its buffer is the end.
                prop_assert!(model.sent <= 500);
                prop_assert!(model.open || operation.is_none());
                if operation == Some(Operation::Data) {
                    prop_assert_eq!(model.guest_ended & NO_RECEIVE, 0);
                    prop_assert_eq!(model.host_ended & NO_SEND, 0);
                }
                if operation == Some(Operation::Shutdown) {
                    prop_assert_eq!(flags, model.host_ended);
                    prop_assert_ne!(flags, model.told);
                    model.told = flags;
                }
            }
        }
        prop_assert_eq!(connection.is_requested(), !model.open);
        prop_assert_eq!(connection.guest_sends(), model.guest_ended & NO_SEND == 0);
        prop_assert_eq!(connection.is_over(), model.told == 3);
    }
    Ok(())
}

proptest! {
    #[test]
    fn connections_follow_the_model(steps in prop::collection::vec(step(), 0..80)) {
        check(&steps)?;
    }
}
