//! Virtual machines: from the start to a first process, a process in one that runs, what comes out of its stdout, and
//! the memory of its worker. Beside each is a bare machine ([`crate::bench::bare`]): the same kernel, ramdisk and QEMU.

use std::cell::RefCell;

use super::{About, Context, Outcome};
use crate::bench::{
    bare::{Bare, Running},
    guests::Image,
    interleave::{Regime, Subject},
    ours::{Container, memory_kb},
};

const BARE_START: &str = "bare QEMU to the hello of a minimal guest";
const BARE_PROCESS: &str = "raw vsock round trip with the guest's own vfork+exec+wait";
const BARE_STDIO: &str = "raw vsock";
const BARE_PIPE: &str = "raw vsock behind dd and a pipe";

pub(super) fn machines(context: &mut Context<'_>) -> Outcome {
    let image = match Image::make(context.bundles, context.program.path()) {
        Ok(image) => image,
        Err(reason) => {
            context.report.miss(format!("virtual machines: {reason}"));
            return Ok(());
        }
    };
    let machine = Container::of("bench-machine", &image.document())?;
    machine.process("/bin/true")?;
    let like = Running::of(context.service.pid())?;
    let (mut bare, _) = Bare::boot(&like, &image)?;
    process(context, &machine, &mut bare)?;
    stdio(context, &machine, &mut bare)?;
    drop(bare);
    let worker = [like.worker];
    for (field, file, name) in [
        (
            "Pss",
            "smaps_rollup",
            "worker of a machine with its device, proportional",
        ),
        (
            "VmRSS",
            "status",
            "worker of a machine with its device, resident",
        ),
    ] {
        let value = memory_kb(&worker, file, field)? / 1024.0;
        context.report.add(name, value, "MB");
    }
    machine.end()?;
    start(context, &image, &like)
}

fn start(context: &mut Context<'_>, image: &Image, like: &Running) -> Outcome {
    let mut number = 0;
    let subjects = vec![
        Subject::timed(BARE_START, || {
            Bare::boot(like, image).map(|(_, took)| Some(took))
        }),
        Subject::timed("hcs API create to first exit", || {
            number += 1;
            let begin = std::time::Instant::now();
            let machine = Container::of(&format!("bench-machine-{number}"), &image.document())?;
            machine.process("/bin/true")?;
            let took = begin.elapsed();
            machine.end()?;
            Ok(Some(took))
        }),
    ];
    let about = About {
        name: "machine-start",
        title: "virtual machine created, first process exited, through the API; its end is not in the time".to_owned(),
        base: BARE_START,
    };
    context.compare(&about, &[(Regime::Hot, 9)], subjects)
}

fn process(context: &mut Context<'_>, machine: &Container, bare: &mut Bare) -> Outcome {
    let subjects = vec![
        Subject::new(BARE_PROCESS, || bare.execute()),
        Subject::new("hcs API process, no output", || {
            machine.silent_process("/bin/true")
        }),
        Subject::new("hcs API process", || machine.process("/bin/true")),
    ];
    let about = About {
        name: "machine-process",
        title: "a process in a running virtual machine, through the API: created, stdout read, exit code seen".to_owned(),
        base: BARE_PROCESS,
    };
    context.compare(&about, &[(Regime::Hot, 100)], subjects)
}

fn stdio(context: &mut Context<'_>, machine: &Container, bare: &mut Bare) -> Outcome {
    let bytes = if context.quick { 16 << 20 } else { 128 << 20 };
    let bare = RefCell::new(bare);
    let subjects = vec![
        Subject::new(BARE_STDIO, || bare.borrow_mut().pour(bytes)),
        Subject::new(BARE_PIPE, || bare.borrow_mut().pour_by_pipe(bytes)),
        Subject::new("hcs API process", || machine.pour(bytes)),
    ];
    let about = About {
        name: "machine-stdio",
        title: format!(
            "{} MiB of zeros out of a virtual machine: dd to a reader of its stdout",
            bytes >> 20
        ),
        base: BARE_STDIO,
    };
    context.compare(&about, &[(Regime::Hot, 7)], subjects)
}
