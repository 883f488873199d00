//! The cases, by what they are about.

mod isolation;

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
    let modules = [("isolation", isolation::all())];
    modules
        .into_iter()
        .flat_map(|(module, cases)| {
            cases
                .into_iter()
                .map(move |(name, case)| (format!("{module}::{name}"), case))
        })
        .collect()
}
