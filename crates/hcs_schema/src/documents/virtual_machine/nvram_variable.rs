//! [`NvramVariable`].

use crate::shape::format::DateTime;

document! {
    /// A variable of firmware. Dropped from the schema.
    NvramVariable {
        /// Its attributes.
        attributes: u32 = "Attributes", 2.1 until 2.3;
        /// When it changed.
        timestamp: String as DateTime = "Timestamp", 2.1 until 2.3;
        /// Its bytes.
        data: Vec<u8> = "Data", 2.1 until 2.3;
    }
}
