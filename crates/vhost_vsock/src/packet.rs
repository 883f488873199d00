//! The header of a packet of virtio-vsock (virtio 1.2, section 5.10.6).

/// Bytes of a header.
pub(crate) const HEADER: usize = 44;
/// The most bytes of data in one packet, in both directions: Linux sends no more, and asks for less.
pub(crate) const MAX_DATA: usize = 64 << 10;
/// The address of the host.
pub(crate) const HOST: u64 = 2;
/// `SHUTDOWN`: the sender receives no more.
pub(crate) const NO_RECEIVE: u32 = 1;
/// `SHUTDOWN`: the sender sends no more.
pub(crate) const NO_SEND: u32 = 2;
/// The type of a stream socket.
pub(crate) const STREAM: u16 = 1;

/// What a packet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Asks for a connection.
    Request,
    /// Agrees to a connection.
    Response,
    /// Refuses or ends a connection. It is never answered.
    Reset,
    /// The sender will receive or send no more, by flags.
    Shutdown,
    /// Carries bytes of the stream.
    Data,
    /// Tells the credit of the sender.
    CreditUpdate,
    /// Asks for the credit of the receiver.
    CreditRequest,
    /// None of these.
    Unknown(u16),
}

impl Operation {
    const fn of(number: u16) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            other => Self::Unknown(other),
        }
    }

    const fn number(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Reset => 3,
            Self::Shutdown => 4,
            Self::Data => 5,
            Self::CreditUpdate => 6,
            Self::CreditRequest => 7,
            Self::Unknown(number) => number,
        }
    }
}

/// The header of a packet. All numbers are little endian in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source_cid: u64,
    pub(crate) destination_cid: u64,
    pub(crate) source_port: u32,
    pub(crate) destination_port: u32,
    /// Bytes of data that follow.
    pub(crate) length: u32,
    /// [`STREAM`].
    pub(crate) kind: u16,
    pub(crate) operation: Operation,
    /// Of a `SHUTDOWN`: [`NO_RECEIVE`], [`NO_SEND`].
    pub(crate) flags: u32,
    /// Bytes that the sender has room for.
    pub(crate) buffer: u32,
    /// Bytes of the stream that the sender has passed on, modulo 2^32.
    pub(crate) forwarded: u32,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Self {
        Self {
            source_cid: u64::from_le_bytes(field(bytes, 0)),
            destination_cid: u64::from_le_bytes(field(bytes, 8)),
            source_port: u32::from_le_bytes(field(bytes, 16)),
            destination_port: u32::from_le_bytes(field(bytes, 20)),
            length: u32::from_le_bytes(field(bytes, 24)),
            kind: u16::from_le_bytes(field(bytes, 28)),
            operation: Operation::of(u16::from_le_bytes(field(bytes, 30))),
            flags: u32::from_le_bytes(field(bytes, 32)),
            buffer: u32::from_le_bytes(field(bytes, 36)),
            forwarded: u32::from_le_bytes(field(bytes, 40)),
        }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&self.source_cid.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.destination_cid.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.source_port.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.destination_port.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28..30].copy_from_slice(&self.kind.to_le_bytes());
        bytes[30..32].copy_from_slice(&self.operation.number().to_le_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.buffer.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.forwarded.to_le_bytes());
        bytes
    }
}

/// The `N` bytes at `at`.
fn field<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        let mut bytes = [0; HEADER];
        for (byte, value) in bytes.iter_mut().zip(0..) {
            *byte = value;
        }
        let header = Header::decode(&bytes);
        assert_eq!(header.source_cid, 0x0706_0504_0302_0100);
        assert_eq!(header.destination_cid, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(header.source_port, 0x1312_1110);
        assert_eq!(header.destination_port, 0x1716_1514);
        assert_eq!(header.length, 0x1b1a_1918);
        assert_eq!(header.kind, 0x1d1c);
        assert_eq!(header.operation, Operation::Unknown(0x1f1e));
        assert_eq!(header.flags, 0x2322_2120);
        assert_eq!(header.buffer, 0x2726_2524);
        assert_eq!(header.forwarded, 0x2b2a_2928);
        assert_eq!(Operation::of(5), Operation::Data);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::array::uniform32(any::<u8>()), rest in prop::array::uniform12(any::<u8>())) {
            let mut all = [0; HEADER];
            all[..32].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&rest);
            prop_assert_eq!(Header::decode(&all).encode(), all);
        }

        #[test]
        fn operations_keep_their_numbers(number in 0..12_u16) {
            prop_assert_eq!(Operation::of(number).number(), number);
        }
    }
}
