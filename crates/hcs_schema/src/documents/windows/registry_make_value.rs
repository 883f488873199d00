//! [`RegistryMakeValue`].

use crate::shape::format::Binary;

document! {
    /// A value to set in a Windows container's registry; one of the data properties is given.
    RegistryMakeValue {
        /// Its name.
        name: String = "name", 2.3;
        /// Several strings.
        data_multistring: String = "data_multistring", 2.3;
        /// A number of 32 bits.
        data_dword: u32 = "data_dword", 2.3;
        /// A string.
        data_string: String = "data_string", 2.3;
        /// Bytes.
        data_binary: String as Binary = "data_binary", 2.3;
    }
}
