//! [`NvramVendor`].

use std::collections::BTreeMap;

use crate::documents::NvramVariable;

document! {
    /// A vendor's variables of firmware. Dropped from the schema.
    NvramVendor {
        /// The variables, by name without regard to case.
        variables: BTreeMap<String, NvramVariable> = "Variables", 2.1 until 2.3;
    }
}
