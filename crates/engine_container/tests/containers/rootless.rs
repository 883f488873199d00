//! Cases as an ordinary user: each in a process of its own, which gives up root's rights first.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::Command,
};

/// A user that no host has, without subordinate ids.
const USER: u32 = 54_380;
/// Set in the process of that user.
const MARK: &str = "HCS_TEST_ROOTLESS";

/// Whether this is such a process.
pub(crate) fn is_here() -> bool {
    env::var_os(MARK).is_some()
}

/// Modules whose cases are about what an ordinary user has not: control groups, a choice, containers that are kept
/// ready.
const MODULES_NOT_FOR_USERS: &[&str] = &["layouts", "preference", "slots"];

/// Cases of other modules that are, by what they need: see "As an ordinary user" in THREATS.md.
const NOT_FOR_USERS: &[&str] = &[
    // Networks but loopback.
    "failures::a_network_has_to_be_there",
    "isolation::a_named_network_is_joined",
    // Control groups, by which containers are paused, counted and found again.
    "limits::a_document_limits_its_processes_and_refusals_are_counted",
    "limits::a_limit_below_what_is_used_says_what_is_used",
    "limits::memory_can_be_changed_while_it_runs",
    "limits::memory_is_limited_and_the_agent_survives",
    "limits::processors_are_limited_and_can_be_changed",
    "limits::the_limits_can_be_read_inside",
    "limits::the_number_of_processes_is_limited",
    "limits::what_sockets_of_tcp_hold_is_limited",
    "limits::what_was_used_is_told",
    "life::a_killed_machine_is_never_ready",
    "life::a_machine_outlives_its_engine_and_is_adopted",
    "life::a_paused_machine_can_be_killed",
    "life::killing_ends_every_process",
    "life::leftovers_are_swept_and_others_kept",
    "life::one_that_is_not_ready_yet_is_adopted",
    "life::pausing_stops_and_resuming_continues",
    // Mapping into a container that runs.
    "mapped::directories_come_and_go_while_it_runs",
    "mapped::pipes_come_and_go_while_it_runs",
    "sharing::a_running_container_gets_no_directory_it_was_not_made_for",
    // Users but root inside, and ids that are not the user's own on the host.
    "identity::another_service_gives_out_other_ids",
    "identity::each_container_is_somebody_else",
    "identity::instances_of_the_hosts_root_are_its_own",
    "identity::its_ids_are_held_as_long_as_it_lives",
    "identity::no_id_inside_owns_the_namespace",
    "identity::other_users_and_groups_work_inside",
    "identity::root_inside_is_nobody_outside",
    "identity::what_it_writes_has_its_own_ids",
    "hardening::every_user_may_ping_and_bind_low_ports",
    "hardening::new_privileges_are_out_of_reach",
    "sharing::a_directory_it_could_not_use_is_refused",
    "sharing::bits_of_a_program_that_is_there_go_when_it_is_written_to",
    "sharing::ids_of_its_own_are_nobodys_on_the_host",
    // Containers without a user namespace.
    "mapped::what_the_service_makes_later_is_not_seen",
    "sharing::a_container_that_could_be_handed_a_directory_is_guarded",
    // Layers together with the host's root, which these put one of their own above.
    "advisories::a_mapping_that_an_image_leads_to_proc_unmasks_nothing",
    "advisories::hidden_files_stay_hidden_whatever_stands_for_the_null_device",
    "advisories::mount_points_are_made_inside_or_not_at_all",
    "mapped::links_in_the_container_do_not_lead_out",
    "names::lines_and_files_of_the_layers_may_stay",
    "names::links_in_the_layers_are_covered_and_not_followed",
    "names::what_stands_in_the_way_is_left_as_it_is",
    "rootfs::a_layer_of_its_owner_alone_is_a_root_for_all_users",
    "rootfs::many_layers_fit_and_more_are_refused",
    "rootfs::upper_layers_cover_lower_ones",
    "traps::a_volume_that_leads_to_the_root_is_refused",
    "traps::links_in_place_of_the_kernels_file_systems_are_refused",
    "traps::mount_points_are_not_made_through_links_into_what_is_read_only",
    // The host's root as one overlay: it is put together of several here, in a root in memory without `/tmp`.
    "advisories::a_mount_point_swapped_by_another_container_leads_nowhere_else",
    "mounts::nothing_of_the_host_is_mounted",
    "rootfs::a_link_in_a_scratch_leads_no_container_out_of_it",
    "rootfs::a_named_scratch_is_kept",
    "rootfs::other_containers_scratch_is_hidden",
    "rootfs::the_hosts_root_is_seen_and_not_touched",
    "rootfs::the_services_own_files_are_hidden",
    "sharing::a_kept_scratch_is_closed_to_others",
    "view::homes_keys_and_other_peoples_files_are_left_out",
    "view::the_layer_of_the_host_shows_all_of_it",
    // What these prepare takes the rights of root: mounts of the host.
    "limits::a_limit_that_nothing_enforces_is_refused",
    "hardening::nodes_do_not_work_where_nothing_controls_devices",
    "mapped::read_only_means_all_of_it",
    "mapped::the_directories_of_other_services_are_not_seen",
    "mapped::the_services_own_directories_are_not_seen",
    "rootfs::a_scratch_that_cannot_hold_an_overlay_is_replaced_by_memory",
    "rootfs::separate_file_systems_of_the_host_are_part_of_the_view",
    "view::a_tree_on_a_file_system_of_its_own_is_shown",
    // What these prepare takes the rights of root: nodes, owners, directories of the host; and looking into the agent.
    "advisories::an_image_shows_nothing_hidden_by_another_name",
    "hardening::a_device_is_used_as_far_as_it_was_asked_for",
    "hardening::devices_of_the_host_cannot_be_used",
    "hardening::nodes_of_a_layer_open_nothing",
    "hardening::the_agent_has_nothing_but_its_socket",
    "rootfs::the_root_has_the_attributes_of_the_top_layer",
    "sharing::a_set_group_id_bit_of_the_host_does_not_come_to_count",
    "traps::what_is_mapped_over_the_kernels_file_systems_is_not_opened",
    "view::a_tree_below_a_home_is_shown_without_its_secrets",
    "view::no_socket_or_fifo_of_the_host_leads_anywhere",
    "view::no_tree_defeats_the_lists",
    "view::what_is_made_later_is_left_out_too",
];

/// Whether a case is about something that an ordinary user has.
pub(crate) fn has(case: &str) -> bool {
    let module = case.split("::").next().unwrap_or_default();
    !MODULES_NOT_FOR_USERS.contains(&module) && !NOT_FOR_USERS.contains(&case)
}

/// Runs the case of this name as that user.
pub(crate) fn run_as_user(case: &str) {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("containers");
    // The user may not come to where it is. A link costs nothing, but is of one file system.
    let own = env::current_exe().unwrap();
    if fs::hard_link(&own, &program).is_err() {
        fs::copy(&own, &program).unwrap();
    }
    let home = place.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(USER), Some(USER)).unwrap();
    let user = USER.to_string();
    let outcome = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .arg(program)
        .args(["--exact", case, "--nocapture"])
        .current_dir(&home)
        .env(MARK, case)
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&outcome.stdout), text(&outcome.stderr));
    assert!(outcome.status.success(), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}{err}");
}
