//! Which devices a container may use, whatever nodes it makes: those of its `/dev` and terminals, nothing else.
//!
//! The unified hierarchy takes a small program that the kernel asks at each access ([`program`]); version 1 has a
//! controller with a list of rules ([`v1_rules`]). A host with neither leaves it to the mounts: no file system of the
//! container then has working devices but its `/dev`, and it may make no nodes.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use super::{ControlGroups, Home, detect::Controller, files};
use crate::{
    failure::{Attempt, StepError},
    sys::bpf::{self, Instruction},
};

/// Character devices: name, major, minor (`Documentation/admin-guide/devices.txt` of the kernel).
pub(crate) const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Character devices besides those with a node from the start: terminals of `/dev/pts`, and the door to them.
const TERMINALS: [(u32, Option<u32>); 2] = [(136, None), (5, Some(2))];

/// A device that a container may use besides those of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    /// Whether it is a block device.
    pub(crate) block: bool,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// What may be done: the bits of `BPF_DEVCG_ACC_MKNOD`, `_READ` and `_WRITE`.
    pub(crate) access: u32,
}

impl DeviceRule {
    pub(crate) const READ: u32 = 2;
    pub(crate) const WRITE: u32 = 4;
    pub(crate) const READ_WRITE: u32 = Self::READ | Self::WRITE;

    /// The bits of these letters.
    pub(crate) fn access_of(letters: &str) -> u32 {
        letters.chars().fold(0, |bits, letter| match letter {
            'r' => bits | Self::READ,
            'w' => bits | Self::WRITE,
            'm' => bits | MAKE_NODE.cast_unsigned(),
            _ => bits,
        })
    }

    /// Whether the device is one that every container may use without a rule of its own.
    pub(crate) fn is_of_all(self) -> bool {
        let is = |(major, minor): (u32, Option<u32>)| {
            self.major == major && minor.is_none_or(|minor| minor == self.minor)
        };
        !self.block && allowed().any(is)
    }

    /// One rule for each device: all that several allow.
    pub(crate) fn merged(rules: Vec<Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::with_capacity(rules.len());
        for rule in rules {
            let number = |one: &Self| (one.block, one.major, one.minor);
            match merged.iter_mut().find(|one| number(one) == number(&rule)) {
                Some(one) => one.access |= rule.access,
                None => merged.push(rule),
            }
        }
        merged
    }

    /// In the words of `devices.allow`.
    fn v1(self) -> String {
        let kind = if self.block { 'b' } else { 'c' };
        let letters = [
            ('r', Self::READ),
            ('w', Self::WRITE),
            ('m', MAKE_NODE.cast_unsigned()),
        ];
        let letters = letters.iter().filter(|(_, bit)| self.access & bit != 0);
        let letters: String = letters.map(|(letter, _)| letter).collect();
        format!("{kind} {}:{} {letters}", self.major, self.minor)
    }

    /// As a piece of the program: answers 1 where the rule allows what is asked, else goes on behind itself.
    fn instructions(self) -> Vec<Instruction> {
        let number = |number: u32| number.cast_signed();
        let kind = if self.block {
            BLOCK_DEVICE
        } else {
            CHARACTER_DEVICE
        };
        // Each condition jumps over the rest and the answer.
        vec![
            jump_unless_equal(3, kind, 7),
            jump_unless_equal(4, number(self.major), 6),
            jump_unless_equal(5, number(self.minor), 5),
            instruction(BPF_MOVE_REGISTER, 2 << 4, 0, 0),
            operate(BPF_AND, 0, !number(self.access)),
            jump_unless_equal(0, 0, 2),
            instruction(BPF_MOVE, 0, 0, 1),
            instruction(BPF_EXIT, 0, 0, 0),
        ]
    }
}

/// What enforces the rules on this host.
#[derive(Debug)]
pub(crate) enum DeviceControl {
    /// A loaded program, one for all containers.
    Program(OwnedFd),
    /// The controller of version 1.
    Controller,
    /// Nothing.
    None,
}

impl DeviceControl {
    /// Finds out what this host has.
    pub(crate) fn detect(hierarchies: &super::Hierarchies) -> Self {
        let loaded = hierarchies
            .unified
            .as_ref()
            .and_then(|_| bpf::load_device_program(&program(&[])).ok());
        let mut v1 = hierarchies
            .v1
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers);
        match loaded {
            Some(program) => Self::Program(program),
            None if v1.any(|controller| *controller == Controller::Devices) => Self::Controller,
            None => Self::None,
        }
    }
}

impl ControlGroups {
    /// Allows the devices of `/dev`, those in `more`, and no others. For groups that are still empty: for a moment all
    /// is refused.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn limit_devices(
        &self,
        control: &DeviceControl,
        more: &[DeviceRule],
    ) -> Result<(), StepError> {
        match control {
            DeviceControl::None => Ok(()),
            DeviceControl::Program(program) if more.is_empty() => self.attach(program),
            DeviceControl::Program(_) => {
                let program = bpf::load_device_program(&program(more))
                    .step("loading the rules for devices")?;
                self.attach(&program)
            }
            DeviceControl::Controller => {
                let directory = self.devices_directory()?;
                files::write(directory, "devices.deny", "a")?;
                files::write_each(directory, "devices.allow", &v1_rules(more))
            }
        }
    }

    /// Allows the devices in `more` as well, in groups whose devices [are limited](Self::limit_devices). What is
    /// allowed stays so meanwhile: the child of a container that was kept ready may be making its nodes.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn allow_devices(
        &self,
        control: &DeviceControl,
        more: &[DeviceRule],
    ) -> Result<(), StepError> {
        match control {
            DeviceControl::Controller => {
                let rules: Vec<String> = more.iter().map(|rule| rule.v1()).collect();
                files::write_each(self.devices_directory()?, "devices.allow", &rules)
            }
            // One program takes the place of the other at once.
            DeviceControl::None | DeviceControl::Program(_) => self.limit_devices(control, more),
        }
    }

    fn devices_directory(&self) -> Result<&Path, StepError> {
        match self.home(Controller::Devices) {
            Some(Home::V1(directory)) => Ok(directory),
            _ => {
                let step = "finding the control group of devices";
                Err(StepError::new(step, Errno::NODEV))
            }
        }
    }

    fn attach(&self, program: &OwnedFd) -> Result<(), StepError> {
        let step = "attaching the device rules to";
        let Some(unified) = &self.unified else {
            return Err(StepError::new(step, Errno::NODEV));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(unified, flags, Mode::empty())
            .and_then(|group| bpf::attach_device_program(program.as_fd(), group.as_fd()))
            .step_at(step, unified.display().to_string())
    }
}

/// All character devices that may be used; `None` for every minor number.
fn allowed() -> impl Iterator<Item = (u32, Option<u32>)> {
    NODES
        .into_iter()
        .map(|(_, major, minor)| (major, Some(minor)))
        .chain(TERMINALS)
}

/// The rules in the words of `devices.allow`. Any node may be made; using it is another matter.
fn v1_rules(more: &[DeviceRule]) -> Vec<String> {
    let usable = allowed().map(|(major, minor)| match minor {
        Some(minor) => format!("c {major}:{minor} rwm"),
        None => format!("c {major}:* rwm"),
    });
    ["c *:* m", "b *:* m"]
        .map(str::to_owned)
        .into_iter()
        .chain(usable)
        .chain(more.iter().map(|rule| rule.v1()))
        .collect()
}

/// `struct bpf_cgroup_dev_ctx`: offsets of its words, and what the first one holds.
const ACCESS_AND_TYPE: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;
const BLOCK_DEVICE: i32 = 1;
const CHARACTER_DEVICE: i32 = 2;
const MAKE_NODE: i32 = 1;

/// The rules as a program: answers 1 to allow, 0 to refuse.
///
/// ```text
/// r2 = what is to be done, r3 = kind of device, r4 = major, r5 = minor
/// if r2 is making a node: allow
/// for each further rule: if kind, major and minor are the rule's, and r2 is nothing else than the rule allows: allow
/// if r3 is not a character device: refuse
/// for each rule: if major and minor are the rule's: allow
/// refuse
/// ```
fn program(more: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        load(2, ACCESS_AND_TYPE),
        load(3, ACCESS_AND_TYPE),
        operate(BPF_RSH, 2, 16),
        operate(BPF_AND, 3, 0xffff),
        load(4, MAJOR),
        load(5, MINOR),
    ];
    program.push(jump_unless_equal(2, MAKE_NODE, 2));
    program.extend(answer(1));
    program.extend(more.iter().flat_map(|rule| rule.instructions()));
    program.push(jump_if_equal(3, CHARACTER_DEVICE, 2));
    program.extend(answer(0));
    for (major, minor) in allowed() {
        let number = |number: u32| number.cast_signed();
        match minor {
            None => program.push(jump_unless_equal(4, number(major), 2)),
            Some(minor) => program.extend([
                jump_unless_equal(4, number(major), 3),
                jump_unless_equal(5, number(minor), 2),
            ]),
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

// Operation codes of `linux/bpf_common.h` and `linux/bpf.h`, 32-bit arithmetic and jumps on 64 bits.
const BPF_LOAD_WORD: u8 = 0x61;
const BPF_ALU: u8 = 0x04;
const BPF_AND: u8 = 0x50;
const BPF_RSH: u8 = 0x70;
const BPF_MOVE: u8 = 0xb7;
const BPF_MOVE_REGISTER: u8 = 0xbf;
const BPF_JEQ: u8 = 0x15;
const BPF_JNE: u8 = 0x55;
const BPF_EXIT: u8 = 0x95;

/// Register 1 points to the question.
fn load(to: u8, offset: i16) -> Instruction {
    instruction(BPF_LOAD_WORD, 1 << 4 | to, offset, 0)
}

fn operate(operation: u8, register: u8, operand: i32) -> Instruction {
    instruction(BPF_ALU | operation, register, 0, operand)
}

fn jump_if_equal(register: u8, value: i32, over: i16) -> Instruction {
    instruction(BPF_JEQ, register, over, value)
}

fn jump_unless_equal(register: u8, value: i32, over: i16) -> Instruction {
    instruction(BPF_JNE, register, over, value)
}

fn answer(value: i32) -> [Instruction; 2] {
    [
        instruction(BPF_MOVE, 0, 0, value),
        instruction(BPF_EXIT, 0, 0, 0),
    ]
}

const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHARACTER: u32 = 2;
    const BLOCK: u32 = 1;
    const MKNOD: u32 = 1;
    const READ: u32 = 2;

    /// The files of the group are plain ones, which keep what was written last.
    #[test]
    fn allowing_more_refuses_nothing_meanwhile() {
        let place = tempfile::tempdir().unwrap();
        let written = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
        for name in ["devices.deny", "devices.allow"] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        let groups = ControlGroups {
            v1: vec![super::super::V1Group {
                directory: place.path().to_owned(),
                controllers: vec![Controller::Devices],
            }],
            unified: None,
        };
        let more = DeviceRule {
            block: true,
            major: 7,
            minor: 1,
            access: DeviceRule::READ,
        };
        groups
            .allow_devices(&DeviceControl::Controller, &[more])
            .unwrap();
        assert_eq!(
            [written("devices.deny"), written("devices.allow")],
            ["", "b 7:1 r"]
        );
        groups
            .limit_devices(&DeviceControl::Controller, &[])
            .unwrap();
        assert_eq!(written("devices.deny"), "a");
    }

    /// What the kernel would do with the program.
    fn ask(access: u32, kind: u32, major: u32, minor: u32) -> i64 {
        ask_with(&[], access, kind, major, minor)
    }

    fn ask_with(more: &[DeviceRule], access: u32, kind: u32, major: u32, minor: u32) -> i64 {
        let program = program(more);
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_i64; 11];
        let mut at = 0_usize;
        loop {
            let now = program[at];
            at += 1;
            let to = usize::from(now.registers & 0xf);
            let operand = i64::from(now.immediate);
            let skip = usize::try_from(now.offset).unwrap();
            match now.code {
                BPF_LOAD_WORD => registers[to] = i64::from(context[skip / 4]),
                code if code == BPF_ALU | BPF_AND => registers[to] &= operand,
                code if code == BPF_ALU | BPF_RSH => registers[to] >>= operand,
                BPF_MOVE => registers[to] = operand,
                BPF_MOVE_REGISTER => registers[to] = registers[usize::from(now.registers >> 4)],
                BPF_JEQ if registers[to] == operand => at += skip,
                BPF_JNE if registers[to] != operand => at += skip,
                BPF_JEQ | BPF_JNE => {}
                BPF_EXIT => return registers[0],
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn the_devices_of_dev_and_terminals_may_be_used() {
        for (name, major, minor) in NODES {
            assert_eq!(ask(READ, CHARACTER, major, minor), 1, "{name}");
        }
        assert_eq!(ask(READ, CHARACTER, 136, 77), 1);
        assert_eq!(ask(READ, CHARACTER, 5, 2), 1);
    }

    #[test]
    fn others_may_not_but_their_nodes_may_be_made() {
        for (kind, major, minor) in [
            (BLOCK, 8, 0),
            (BLOCK, 1, 3),
            (CHARACTER, 10, 200),
            (CHARACTER, 1, 1),
        ] {
            assert_eq!(ask(READ, kind, major, minor), 0, "{kind} {major}:{minor}");
            assert_eq!(
                ask(READ | MKNOD, kind, major, minor),
                0,
                "{kind} {major}:{minor}"
            );
            assert_eq!(ask(MKNOD, kind, major, minor), 1, "{kind} {major}:{minor}");
        }
    }

    #[test]
    fn a_further_device_may_be_used_as_far_as_its_rule_says() {
        const WRITE: u32 = 4;
        let rule = |block, minor, letters| DeviceRule {
            block,
            major: 10,
            minor,
            access: DeviceRule::access_of(letters),
        };
        let more = [rule(false, 229, "rwm"), rule(true, 7, "r")];
        let asked = |access, kind, minor| ask_with(&more, access, kind, 10, minor);
        for access in [READ, WRITE, READ | WRITE, READ | WRITE | MKNOD] {
            assert_eq!(asked(access, CHARACTER, 229), 1, "{access}");
            assert_eq!(asked(access, BLOCK, 229), 0, "{access}");
            assert_eq!(asked(access, CHARACTER, 230), 0, "{access}");
            assert_eq!(
                asked(access, BLOCK, 7),
                i64::from(access == READ),
                "{access}"
            );
        }
        assert_eq!(ask_with(&more, READ, CHARACTER, 1, 3), 1);
        assert_eq!(ask_with(&more, READ, BLOCK, 8, 0), 0);
        let rules = v1_rules(&more);
        assert_eq!(rules[rules.len() - 2..], ["c 10:229 rwm", "b 10:7 r"]);
        // Named twice, a device may be used in both ways at once.
        let twice = [
            rule(false, 229, "r"),
            rule(false, 229, "w"),
            rule(true, 229, "r"),
        ];
        let more = DeviceRule::merged(twice.to_vec());
        assert_eq!(more, [rule(false, 229, "rw"), rule(true, 229, "r")]);
        assert_eq!(ask_with(&more, READ | WRITE, CHARACTER, 10, 229), 1);
    }

    #[test]
    fn both_versions_say_the_same() {
        let rules = v1_rules(&[]);
        assert!(rules.contains(&"c 1:3 rwm".to_owned()), "{rules:?}");
        assert!(rules.contains(&"c 136:* rwm".to_owned()), "{rules:?}");
        assert_eq!(rules.len(), 2 + NODES.len() + TERMINALS.len());
    }
}
