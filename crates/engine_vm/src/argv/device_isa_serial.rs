//! `-device isa-serial`: a serial port, COM1 for number 0.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct IsaSerial {
    pub(super) number: u8,
    pub(super) descriptor: RawFd,
}

impl Switch for IsaSerial {
    fn words(&self) -> Vec<String> {
        let (number, descriptor) = (self.number, self.descriptor);
        vec![
            "-chardev".to_owned(),
            format!("socket,id=com{number},fd={descriptor}"),
            "-device".to_owned(),
            format!("isa-serial,index={number},chardev=com{number}"),
        ]
    }
}
