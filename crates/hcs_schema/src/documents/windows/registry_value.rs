//! [`RegistryValue`], [`RegistryValueType`].

use crate::{documents::RegistryKey, shape::format::Base64};

document! {
    /// A value to set in a Windows registry; one of the data properties is given.
    RegistryValue {
        /// The key.
        key: RegistryKey = "Key", 2.0;
        /// Its name.
        name: String = "Name", 2.0;
        /// Its type.
        r#type: RegistryValueType = "Type", 2.0;
        /// A string.
        string_value: String = "StringValue", 2.0;
        /// Bytes.
        binary_value: String as Base64 = "BinaryValue", 2.0;
        /// A number of 32 bits.
        dword_value: u32 = "DWordValue", 2.0;
        /// A number of 64 bits.
        qword_value: u64 = "QWordValue", 2.0;
        /// Number of the type, for `CustomType`; the data are in `BinaryValue`.
        custom_type: u32 = "CustomType", 2.0;
    }
}

schema_enum! {
    /// A type of registry value.
    RegistryValueType {
        /// None.
        None = "None", 2.0;
        /// Text.
        String = "String", 2.0;
        /// Text with names of environment variables.
        ExpandedString = "ExpandedString", 2.0;
        /// Several texts.
        MultiString = "MultiString", 2.0;
        /// Bytes.
        Binary = "Binary", 2.0;
        /// A number of 32 bits.
        DWord = "DWord", 2.0;
        /// A number of 64 bits.
        QWord = "QWord", 2.0;
        /// Another one, by number.
        CustomType = "CustomType", 2.0;
    }
}
