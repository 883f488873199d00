//! `-smp`: the processors.

use super::Switch;

pub(super) struct Smp(pub(super) u32);

impl Switch for Smp {
    fn words(&self) -> Vec<String> {
        let count = self.0;
        vec![
            "-smp".to_owned(),
            format!("{count},sockets=1,cores={count},threads=1,maxcpus={count}"),
        ]
    }
}
