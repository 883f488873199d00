//! FNV-1a of 64 bits: the same in each release and on each machine, which the hasher of `std` does not promise.
//!
//! It names things and tells what changed by accident. It is no protection from a peer that makes two inputs look the
//! same.

/// Where a hash begins: that of no bytes.
pub const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The hash of what `so_far` is the hash of, and of `bytes` behind it.
#[must_use]
pub fn hash(so_far: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(so_far, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors_examples() {
        assert_eq!(hash(BASIS, b""), BASIS);
        assert_eq!(hash(BASIS, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(BASIS, b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash(hash(BASIS, b"foo"), b"bar"), hash(BASIS, b"foobar"));
    }
}
