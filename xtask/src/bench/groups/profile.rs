//! Where the time of the calls goes that have targets: see [`crate::bench::profile`].

use std::cell::{Cell, RefCell};

use super::{Context, Outcome};
use crate::bench::{
    command::{line, run},
    ours::{Container, create_to_first_exit},
    profile::{Traced, profile as trace},
};

pub(super) fn profile(context: &mut Context<'_>) -> Outcome {
    let rounds = if context.quick { 3 } else { 40 };
    let container = Container::start("bench-profile", context.bundles)?;
    let process = container.idle_process()?;
    let exec = context.program.exec_line(container.id(), &["/bin/true"]);
    let once = context.program.run_line(context.bundles);
    let list = line(&[context.program.path(), "list"]);
    let (number, made) = (Cell::new(0), RefCell::new(None));
    let subject = |name, spaced, run| Traced {
        name,
        spaced,
        run,
        after: Box::new(|| Ok(())),
    };
    let subjects = vec![
        subject(
            "HcsGetProcessInfo",
            false,
            Box::new(|| container.process_info(&process)),
        ),
        subject(
            "a process through the API",
            false,
            Box::new(|| container.process("/bin/true")),
        ),
        subject("`hcs list`", false, Box::new(|| run(&list))),
        subject("`hcs exec`", false, Box::new(|| run(&exec))),
        subject("`hcs run`", true, Box::new(|| run(&once))),
        Traced {
            name: "a container through the API, created to its first exit",
            spaced: true,
            run: Box::new(|| {
                number.set(number.get() + 1);
                let id = format!("bench-profile-{}", number.get());
                let (container, _) = create_to_first_exit(context.bundles, &id)?;
                made.replace(Some(container));
                Ok(())
            }),
            after: Box::new(|| {
                made.take()
                    .map_or(Ok(()), |container: Container| container.end())
            }),
        },
    ];
    match trace(context.service.pid(), rounds, subjects) {
        Ok(text) => context.report.profile = text,
        Err(reason) => context
            .report
            .miss(format!("where the time goes: {reason}")),
    }
    container.end()
}
