//! The cases, by what they are about.

mod advisories;
mod attacks;
mod failures;
mod hardening;
mod identity;
mod isolation;
mod layouts;
mod left;
mod life;
mod limits;
mod mapped;
mod mounts;
mod names;
mod preference;
mod races;
mod rootfs;
mod sharing;
mod slots;
mod traps;
mod view;

/// A case: fails by a panic.
pub(crate) type Case = fn();

/// Names the functions of a module as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) fn all() -> Vec<(&'static str, $crate::cases::Case)> {
            vec![$((concat!(stringify!($name)), $name as $crate::cases::Case)),*]
        }
    };
}
use cases;

/// All of them, named `module::function`.
pub(crate) fn all() -> Vec<(String, Case)> {
    let modules = [
        ("advisories", advisories::all()),
        ("attacks", attacks::all()),
        ("failures", failures::all()),
        ("hardening", hardening::all()),
        ("identity", identity::all()),
        ("isolation", isolation::all()),
        ("layouts", layouts::all()),
        ("left", left::all()),
        ("life", life::all()),
        ("limits", limits::all()),
        ("mapped", mapped::all()),
        ("mounts", mounts::all()),
        ("names", names::all()),
        ("preference", preference::all()),
        ("races", races::all()),
        ("rootfs", rootfs::all()),
        ("sharing", sharing::all()),
        ("slots", slots::all()),
        ("traps", traps::all()),
        ("view", view::all()),
    ];
    modules
        .into_iter()
        .flat_map(|(module, cases)| {
            cases
                .into_iter()
                .map(move |(name, case)| (format!("{module}::{name}"), case))
        })
        .collect()
}
