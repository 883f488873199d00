//! Containers as the host's root and in user namespaces, made from scratch and from warm slots, and those of an
//! ordinary user.

use std::cell::Cell;

use crate::rootless;

/// The user that root in the containers of a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The host's root, behind the other walls.
    Host,
    /// The host's root, in containers that were kept ready.
    Warm,
    /// A user namespace's.
    User,
    /// The same, in containers that were kept ready.
    WarmUser,
    /// An ordinary user of the host makes them.
    Rootless,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Host) };
}

/// Cases that are about what a user namespace changes, so that they are not repeated in one.
const HOST_ONLY: &[&str] = &[
    // Its network is the container's own there; another one belongs to the host's root.
    "isolation::a_named_network_is_joined",
    "failures::a_network_has_to_be_there",
    // No process makes nodes there.
    "hardening::devices_of_the_host_cannot_be_used",
    "layouts::version_1_controls_devices",
    "layouts::version_2_controls_devices",
    "hardening::nodes_do_not_work_where_nothing_controls_devices",
    "hardening::capabilities_are_the_usual_few",
    // They ask for one themselves.
    "identity::root_inside_is_nobody_outside",
    "identity::each_container_is_somebody_else",
    "identity::no_id_inside_owns_the_namespace",
    "identity::another_service_gives_out_other_ids",
    "identity::its_ids_are_held_as_long_as_it_lives",
    "identity::instances_of_the_hosts_root_are_its_own",
    "identity::no_capability_reaches_the_host",
    "identity::what_it_writes_has_its_own_ids",
    "identity::other_users_and_groups_work_inside",
    "identity::pipes_can_be_opened_again",
    "identity::what_cannot_be_had_is_refused",
];

impl Mode {
    pub(crate) const ALL: [Self; 5] = [
        Self::Host,
        Self::Warm,
        Self::User,
        Self::WarmUser,
        Self::Rootless,
    ];

    /// What the names of its cases begin with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Host => "",
            Self::Warm => "warm::",
            Self::User => "user::",
            Self::WarmUser => "warm_user::",
            Self::Rootless => "rootless::",
        }
    }

    pub(crate) fn has(self, case: &str) -> bool {
        match self {
            Self::Host => true,
            Self::Warm => !case.starts_with("slots::") && !case.starts_with("identity::"),
            // Where the configuration asks for one, no preference counts.
            Self::User | Self::WarmUser if case.starts_with("preference::") => false,
            Self::User => !case.starts_with("slots::") && !HOST_ONLY.contains(&case),
            Self::WarmUser => !HOST_ONLY.contains(&case),
            Self::Rootless => rootless::has(case),
        }
    }

    /// Whether containers have a user namespace.
    pub(crate) const fn has_user_namespace(self) -> bool {
        matches!(self, Self::User | Self::WarmUser | Self::Rootless)
    }

    /// Whether containers are made from warm slots.
    pub(crate) const fn is_warm(self) -> bool {
        matches!(self, Self::Warm | Self::WarmUser)
    }

    /// That of the running case.
    pub(crate) fn get() -> Self {
        MODE.get()
    }

    pub(crate) fn set(self) {
        MODE.set(self);
    }
}
