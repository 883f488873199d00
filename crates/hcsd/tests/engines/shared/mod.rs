//! The suite of each engine: what the service promises of systems, whatever runs them. A new promise of systems gets
//! its test here, unless it is about what one engine alone has.

mod adoption;
mod ends;
mod events;
mod left;
mod life;
mod processes;
mod properties;
mod stdio;

use std::io::Read as _;

use hcs_wire::service::Call;

use crate::{
    common::{Client, client::Created},
    kinds::Kind,
};

/// A test: its name and its body, which fails by panicking.
pub(crate) type Test = (&'static str, fn(&Kind));

macro_rules! tests {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),+),+]
    };
}

/// All tests.
pub(crate) const TESTS: &[Test] = tests! {
    life:
        a_process_runs_in_a_system_and_everything_ends,
        calls_may_be_sent_before_their_handles_are_there,
        states_allow_what_they_allow,
        a_shutdown_asks_and_a_terminate_kills,
        two_clients_see_the_same_system,
        systems_come_and_go_without_a_trace,
        a_system_that_is_to_end_with_its_last_handle_does,
        a_cancelled_shutdown_ends_and_leaves_the_system_running;
    processes:
        processes_are_signalled_terminated_and_opened,
        an_exit_status_is_kept_until_a_client_was_told,
        a_cancelled_process_is_killed,
        a_console_has_a_size_and_stdin_can_be_ended;
    stdio:
        a_system_outlives_its_client_and_its_processes_can_be_taken_up_again,
        stdio_can_be_fetched_again_when_both_client_and_service_have_died,
        a_stdin_that_was_closed_stays_closed;
    events:
        the_life_of_a_system_is_told_in_order,
        numbers_go_on_through_a_killed_service_and_nothing_is_told_twice;
    properties:
        enumeration_and_properties_say_what_is_there,
        what_a_machine_uses_is_accounted_or_refused,
        a_change_that_the_engine_does_not_know_is_refused,
        the_output_of_a_detached_process_is_kept_or_refused;
    adoption:
        running_processes_go_on_and_are_taken_over,
        what_exited_while_no_service_was_there_is_told_with_its_true_code,
        each_client_that_comes_back_is_told_of_an_exit_it_missed,
        an_exit_that_no_client_was_told_survives_the_service,
        a_process_whose_creation_was_not_written_down_is_found_again,
        states_survive,
        a_system_that_no_client_comes_back_for_ends_if_it_is_to_end_with_its_last_handle,
        a_service_that_is_told_to_leave_leaves_its_systems_running,
        what_an_ended_system_left_behind_does_not_harm_a_later_one_of_its_id;
    ends:
        a_system_that_ended_while_no_service_was_there_tells_its_end_once_clients_are_back,
        an_end_that_was_asked_for_before_the_service_died_is_no_surprise_to_the_next,
        an_agent_that_is_killed_ends_its_system_and_no_other;
    left:
        the_exits_of_a_system_that_ended_with_its_process_are_told_by_each_later_service;
};

fn open_process(system: u64, process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system,
        process,
        process_id,
        again: false,
    }
}

/// Opens a process as the library does for a handle that it had before the connection was lost.
fn open_again(system: u64, process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system,
        process,
        process_id,
        again: true,
    }
}

/// Reads `text` from a process, and no more.
#[track_caller]
fn line(process: &mut Created, text: &str) {
    let mut read = vec![0; text.len()];
    let stdout = process.stdout.as_mut().unwrap();
    stdout.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), text);
}

/// The ids of the systems that `query` finds.
fn ids(client: &mut Client, query: Option<&str>) -> Vec<String> {
    let query = query.map(str::to_owned);
    let listed = client.call(&Call::EnumerateSystems { query }).ok().json();
    let systems = listed.as_array().unwrap().iter();
    systems
        .map(|system| system["Id"].as_str().unwrap().to_owned())
        .collect()
}
