//! The networks of this service: `hcn` says what they are, `engine_network` makes them, and here both are kept
//! together.
//!
//! 1. [`Networks`] has the objects, and takes the calls about them ([`calls`]). 2. [`containers`]: the network of a
//!    container, from its document to its end. [`machines`]: that of a virtual machine. [`endpoints`]: what changes of
//!    that of a running container. [`figures`]: what went through its endpoints. [`names`]: what it is called in
//!    them. 3. `store`: a record per object. 4. `kernel`: from what is there to what is wanted. `repairs`: what another
//!    program has taken away. `ports`: which ports of the host programs have. `preset`: the network of containers for
//!    which none is named. `private`: that of an ordinary user. `chronicle`: what happened, for clients with a
//!    callback. `shares`: what one user may have. `spares`: endpoints of containers that are kept ready. `clearing`:
//!    what ended containers leave in the kernel.
//!
//! Each change is one step after the other, and only one at a time: the model says what changes; records are written;
//! the kernel follows; records of what is gone are removed. So a service that is killed at any moment leaves no link,
//! rule or setting without a record, and the next one makes what its records say, or removes it. Where the host refuses
//! a change, it is taken back.
//!
//! A namespace has no network namespace of its own in the kernel: it has that of its container, which goes with its
//! last process, and takes links, addresses and routes with it.

mod calls;
mod chronicle;
mod clearing;
mod containers;
mod endpoints;
mod figures;
mod gone;
mod hosts;
mod kernel;
mod machines;
mod names;
mod outside;
mod ports;
mod preset;
mod private;
mod repairs;
mod shares;
mod spares;
mod store;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use engine_network::Former;
use hcn::{Changes, Guid, Object, State, intent::Intent};
use hcs_engine::engine::Machine;
use hcs_schema::{Failure, HResult};
use hcs_wire::environment::is_root;
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use crate::{
    record::{
        blocking::blocking,
        call_names::CallNames,
        timeline::{self, CallKeeper},
    },
    thread::{
        fair::{FairLane, FairPlace},
        rounds::Who,
    },
};
use chronicle::Chronicle;
use clearing::{Left, Lingering};
use gone::Gone;
use hosts::Hosts;
use kernel::{Change, Restored};
use names::Names;
use preset::Preset;
use spares::{Asked, Spare};
use store::{GuestNames, Occupant, Store, Stored};

pub(crate) use calls::Named;
pub(crate) use containers::{Place, Tenant, claim};
pub(crate) use endpoints::{EndpointChange, LiveContainer};
pub(crate) use machines::AdapterChange;
pub(crate) use names::{AgentNetworks, NameReader};

/// How long the host's routes may take to be listed.
const LIMIT: Duration = Duration::from_secs(60);

/// How often bridges, links, settings and rules of the kernel are looked at.
const CHECK: Duration = Duration::from_secs(15);

/// See the module. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Networks {
    hosts: Arc<Hosts>,
    store: Store,
    held: RefCell<Held>,
    /// Changes are made one after the other, in turns of those who ask.
    changing: Rc<FairLane>,
    /// The machines of containers that have a network, by runtime id.
    machines: RefCell<BTreeMap<String, Arc<dyn Machine>>>,
    /// Containers that ended, and whose networks could not be given back yet, by runtime id.
    left_behind: RefCell<BTreeSet<String>>,
    /// What is left of them in the kernel, and could not be cleared away yet.
    uncleared: RefCell<Vec<Left>>,
    /// How many are being cleared away.
    clearing: Cell<usize>,
    has_cleared: Notify,
    names: RefCell<Names>,
    preset: Preset,
    /// The network namespaces of containers, by runtime id, until they have ended.
    spaces: RefCell<BTreeMap<String, OwnedFd>>,
    /// Those of ended ones, until no change has come for a while.
    resting: RefCell<Vec<OwnedFd>>,
    /// What lingers is about to go.
    letting_go: Cell<bool>,
    /// How many changes there were.
    changes: Cell<u64>,
    /// The service leaves.
    finishing: Cell<bool>,
    /// How many ended containers have begun to give back what they had, one after the other, and how many are done.
    leaving: Cell<u64>,
    left: Cell<u64>,
    has_left: Notify,
    /// Calls whose clients have their answers, until the next change.
    released: RefCell<Vec<String>>,
    /// Which network containers have asked for.
    asked: Cell<Asked>,
    /// When a spare could not be made the last time.
    spares_failed: Cell<Option<Instant>>,
    /// How often the kernel was looked at.
    checks: Cell<usize>,
    /// What happened, for clients that are told.
    chronicle: Chronicle,
}

/// All that is known of networks.
#[derive(Clone, Debug, Default)]
struct Held {
    state: State,
    /// Which calls made and changed an object.
    calls: BTreeMap<Object, CallNames>,
    /// Which calls deleted an object, or had made or changed one that was deleted since.
    gone: Gone,
    /// Objects that end with a container: its runtime id.
    made_for: BTreeMap<Object, String>,
    /// The users who asked for objects, but root.
    owners: BTreeMap<Object, u32>,
    /// The containers of namespaces.
    occupants: BTreeMap<Guid, Occupant>,
    /// Endpoints whose links are there.
    attached: BTreeSet<Guid>,
    former: Vec<Former>,
    /// Endpoints of containers that are kept ready.
    spares: Vec<Spare>,
    /// Endpoints of containers that have ended, whose links may still be there.
    lingering: Vec<Lingering>,
}

impl Held {
    /// Endpoints that are in the namespace of a container, of one that is kept ready, or of one that has just ended.
    fn wanted(&self) -> BTreeSet<Guid> {
        let of = |namespace: &Guid| self.state.namespace_intent(*namespace);
        let endpoints = self.occupants.keys().flat_map(of);
        let spares = self.spares.iter().map(Spare::id);
        endpoints
            .map(|endpoint| endpoint.id)
            .chain(spares)
            .chain(self.lingering.iter().map(Lingering::id))
            .collect()
    }

    /// What is wanted of the kernel.
    fn intent(&self) -> Intent {
        let mut intent = self.state.intent();
        let spares = self.spares.iter().map(|spare| spare.intent().clone());
        let lingering = self.lingering.iter().map(|one| one.intent().clone());
        intent.endpoints.extend(spares.chain(lingering));
        intent.endpoints.sort_by_key(|endpoint| endpoint.id);
        intent
    }

    /// Namespaces whose containers, or those that are kept ready, `before` does not have: nothing was ever put into
    /// their network namespaces.
    fn new_spaces(&self, before: &Self) -> BTreeSet<Guid> {
        let is_new = |(namespace, occupant): &(&Guid, &Occupant)| {
            let was = before.occupants.get(namespace);
            was.is_none_or(|was| was.runtime_id != occupant.runtime_id)
        };
        let of_containers = self.occupants.iter().filter(is_new).map(|(id, _)| *id);
        let of_spares = self.spares.iter().map(Spare::namespace);
        let known: BTreeSet<Guid> = before.spares.iter().map(Spare::namespace).collect();
        let all: BTreeSet<Guid> = of_containers.chain(of_spares).collect();
        &all - &known
    }

    /// Whether the call `name` has changed something.
    fn knows(&self, name: &str) -> bool {
        self.gone.contains(name) || self.calls.values().any(|calls| calls.contains(name))
    }

    /// Whether the call `name` may have been made to an earlier service and done though it is not known.
    fn is_forgetful(&self, name: &str) -> bool {
        self.gone.is_forgetful(name) || self.calls.values().any(|calls| calls.is_forgetful(name))
    }

    fn stored(&self, object: Object) -> Option<Stored> {
        let occupant = match object {
            Object::Namespace(id) => self.occupants.get(&id).cloned(),
            _ => None,
        };
        Some(Stored {
            record: self.state.record(object)?,
            calls: self.calls.get(&object).cloned().unwrap_or_default(),
            made_for: self.made_for.get(&object).cloned(),
            owner: self.owners.get(&object).copied(),
            occupant,
        })
    }

    /// Forgets what concerns objects that are gone, but the calls on them.
    fn settle(&mut self) {
        let there: BTreeSet<Object> = self.state.objects().into_iter().collect();
        let calls = std::mem::take(&mut self.calls).into_iter();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            calls.partition(|(object, _)| there.contains(object));
        self.calls = kept;
        for (object, calls) in gone {
            self.gone.absorb(object, calls);
        }
        let state = &self.state;
        self.spares.retain(|spare| spare.is_free(state));
        self.made_for.retain(|object, _| there.contains(object));
        self.owners.retain(|object, _| there.contains(object));
        self.occupants
            .retain(|id, _| there.contains(&Object::Namespace(*id)));
        self.settle_lingering();
    }
}

impl CallKeeper for Networks {
    fn release(&self, name: &str) {
        // Many calls fail before they change anything. A change that goes on has written its name by now.
        if self.held.borrow().knows(name) {
            self.released.borrow_mut().push(name.to_owned());
        }
    }
}

impl Networks {
    /// What is written down in the state root `root`. `owner` tells the services of one host apart. `has_preset`: there
    /// is a network for containers for which none is named.
    pub(crate) fn open(root: &Path, owner: String, has_preset: bool) -> Self {
        let store = Store::new(root);
        // First: these change what is to be read.
        store.finish_change();
        let gone = store.read_gone();
        let mut held = Held {
            former: store.read_former(),
            gone,
            ..Held::default()
        };
        let mut records = Vec::new();
        for stored in store.read() {
            let id = stored.record.id();
            let object = match stored.record {
                hcn::Record::Network { .. } => Object::Network(id),
                hcn::Record::Endpoint { .. } => Object::Endpoint(id),
                hcn::Record::Namespace { .. } => Object::Namespace(id),
                hcn::Record::LoadBalancer { .. } => Object::LoadBalancer(id),
            };
            held.calls.insert(object, stored.calls);
            held.made_for
                .extend(stored.made_for.map(|runtime_id| (object, runtime_id)));
            held.owners.extend(stored.owner.map(|uid| (object, uid)));
            held.occupants
                .extend(stored.occupant.map(|occupant| (id, occupant)));
            records.push(stored.record);
        }
        let (state, faults) = State::restore(records);
        for failure in faults {
            error!("a record of networks is left out: {}", failure.log_line());
        }
        held.state = state;
        held.settle();
        Self {
            hosts: Arc::new(Hosts::new(owner)),
            store,
            held: RefCell::new(held),
            changing: FairLane::new(1),
            machines: RefCell::default(),
            left_behind: RefCell::default(),
            uncleared: RefCell::default(),
            clearing: Cell::default(),
            has_cleared: Notify::new(),
            names: RefCell::default(),
            preset: Preset::new(has_preset),
            spaces: RefCell::default(),
            resting: RefCell::default(),
            letting_go: Cell::default(),
            changes: Cell::default(),
            finishing: Cell::default(),
            leaving: Cell::default(),
            left: Cell::default(),
            has_left: Notify::new(),
            released: RefCell::default(),
            asked: Cell::default(),
            spares_failed: Cell::default(),
            checks: Cell::default(),
            chronicle: Chronicle::new(),
        }
    }

    /// Takes over what an earlier service left. `kept` are the runtime ids of the systems that live, or are left alone;
    /// `machines` are those of systems that were taken over. What cannot be made is said in the log.
    pub(crate) async fn restore(
        self: &Rc<Self>,
        kept: &[String],
        machines: Vec<(String, Arc<dyn Machine>)>,
    ) {
        let turn = self.changing.place(Who::SERVICE).await;
        if self.is_unused() {
            return self.sweep_unknown().await;
        }
        let placed = |runtime_id: &String| {
            let held = self.held.borrow();
            let mut occupants = held.occupants.values();
            occupants.any(|one| one.runtime_id == *runtime_id)
        };
        let machines = machines.into_iter().filter(|(id, _)| placed(id));
        let machines: Vec<_> = machines.collect();
        self.machines.borrow_mut().extend(machines);
        let mut after = self.held.borrow().clone();
        let ended = after.occupants.values().map(|one| one.runtime_id.clone());
        let ended = ended.chain(after.made_for.values().cloned());
        let ended: BTreeSet<String> = ended.filter(|id| !kept.contains(id)).collect();
        let mut changes = Changes::default();
        for runtime_id in &ended {
            containers::end(&mut after, runtime_id, &mut changes);
        }
        // Their ends are told as well, and find nothing left to do.
        after.settle();
        let change = self.change(&Held::default(), &after);
        match take_over(change, after.wanted()).await {
            Ok(Restored {
                attached,
                former,
                faults,
            }) => {
                after.attached = attached;
                after.former = former;
                for failure in faults {
                    warn!("a link is not as it should be: {}", failure.log_line());
                }
            }
            Err(failure) => {
                error!("networks are not as they were: {}", failure.log_line());
                after.former = self.store.read_former();
            }
        }
        let written = self
            .write(&after, &changes)
            .and_then(|()| self.remove(&after, &changes));
        if let Err(failure) = written {
            error!("{}", failure.log_line());
        }
        self.held.replace(after);
        self.chronicle.tell(&changes.notifications);
        self.tell_names();
        drop(turn);
    }

    /// Whether there is no record of anything.
    fn is_unused(&self) -> bool {
        let held = self.held.borrow();
        held.state.objects().is_empty() && held.former.is_empty()
    }

    /// Removes links that an earlier service left in this network namespace, without any record.
    async fn sweep_unknown(&self) {
        // An ordinary user's service has none.
        if !is_root() {
            return;
        }
        let hosts = Arc::clone(&self.hosts);
        if let Err(failure) = blocking(move || kernel::sweep_unknown(&hosts)).await {
            // A host that can have no networks has none of them either.
            debug!(
                "what is left of networks is not told: {}",
                failure.log_line()
            );
        }
    }

    /// Looks after networks from now on, for as long as there are any: another program may flush their rules, or remove
    /// a bridge. What containers that ended had is given back, where that has failed.
    pub(crate) fn look_after(self: &Rc<Self>) {
        let networks = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(CHECK).await;
                let Some(networks) = networks.upgrade() else {
                    return;
                };
                for runtime_id in networks.left_behind.take() {
                    networks.leave_again(&runtime_id).await;
                }
                networks.clear_again();
                networks.check().await;
            }
        });
    }

    async fn check(&self) {
        let _turn = self.changing.place(Who::SERVICE).await;
        let held = self.held.borrow().clone();
        if held.state.intent().networks.is_empty() || !is_root() {
            return;
        }
        let change = self.change(&held, &held);
        let round = self.checks.get();
        self.checks.set(round.wrapping_add(1));
        match blocking(move || kernel::keep(change, round)).await {
            Ok(None) => {}
            Ok(Some(kept)) => {
                if !kept.repaired.is_empty() {
                    warn!(
                        "another program changed {}; it is as it was again",
                        kept.repaired.join(", ")
                    );
                }
                for failure in kept.faults {
                    warn!("a network is not as it was: {}", failure.log_line());
                }
                self.held.borrow_mut().former = kept.former;
            }
            Err(failure) => {
                warn!("networks are not as they were: {}", failure.log_line());
                self.held.borrow_mut().former = self.store.read_former();
            }
        }
    }

    /// Forgets the calls whose clients have their answers. No change goes on meanwhile, which would bring them back.
    fn apply_released(&self) {
        let released = self.released.take();
        let mut held = self.held.borrow_mut();
        for name in &released {
            held.calls
                .values_mut()
                .for_each(|calls| calls.release(name));
            held.gone.release(name);
        }
    }

    /// Forgets what clients asked an earlier service for: they had their time to come back.
    pub(crate) async fn forget_earlier_calls(&self) {
        let _turn = self.changing.place(Who::SERVICE).await;
        let mut held = self.held.borrow_mut();
        let calls = held.calls.iter_mut();
        let forgetful =
            calls.filter_map(|(object, calls)| calls.release_earlier().then_some(*object));
        let written = forgetful.collect::<Vec<_>>();
        for object in written {
            let stored = held.stored(object);
            let written = stored.map_or(Ok(()), |stored| self.store.write(object, &stored));
            if let Err(failure) = written {
                warn!("{}", failure.log_line());
            }
        }
        if held.gone.release_earlier()
            && let Err(failure) = self.store.write_gone(&held.gone)
        {
            warn!("{}", failure.log_line());
        }
    }

    /// The turn of whose call this is to change networks. Nothing has begun before.
    pub(crate) async fn turn(&self) -> Turn {
        self.turn_of(timeline::who()).await
    }

    /// The turn of `who` to change networks.
    async fn turn_of(&self, who: Who) -> Turn {
        Turn(self.changing.place(who).await)
    }

    /// Makes a change that `decide` says, on behalf of the call `name`. It is made to its end even if the future is
    /// dropped.
    ///
    /// # Errors
    /// Why it is refused, or what the host refused; nothing has changed then.
    async fn alter<T: 'static>(
        self: &Rc<Self>,
        turn: Turn,
        name: Option<Rc<str>>,
        decide: impl FnOnce(&mut Held, &mut Changes) -> Result<T, Failure> + 'static,
    ) -> Result<T, Failure> {
        let (networks, who) = (Rc::clone(self), timeline::who());
        let altered = async move {
            // Without a call: what it takes of threads is not its client's, as others wait for it.
            let _turn = turn;
            networks.alter_in_turn((name, who), decide).await
        };
        match tokio::task::spawn_local(altered).await {
            Ok(altered) => altered,
            Err(error) => {
                let message = "a change of networks broke off";
                Err(Failure::new(HResult::E_UNEXPECTED, message).because(&error))
            }
        }
    }

    async fn alter_in_turn<T>(
        self: &Rc<Self>,
        (name, who): (Option<Rc<str>>, Who),
        decide: impl FnOnce(&mut Held, &mut Changes) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.apply_released();
        self.changes.set(self.changes.get().wrapping_add(1));
        let before = self.held.borrow().clone();
        let (mut after, mut changes) = (before.clone(), Changes::default());
        let decided = decide(&mut after, &mut changes)?;
        shares::take(&before, &mut after, &changes, who)?;
        outside::check(&before, &after, &changes, who)?;
        if let Some(name) = name {
            // Records are removed last: until then, the call is not done.
            let told_by = match changes.removed.is_empty() {
                true => &changes.written,
                false => &changes.removed,
            };
            for object in told_by {
                after.calls.entry(*object).or_default().add(&name);
            }
        }
        after.settle();
        let (had, wants) = (before.intent(), after.intent());
        if ports::asks(&had, &wants) {
            blocking(move || ports::check(&had, &wants)).await?;
        }
        let (before_it, after_it) = chronicle::parted(&changes.notifications);
        self.chronicle.tell(&before_it);
        let made = match self.write(&after, &changes) {
            Ok(()) => self.follow(&before, &after).await,
            Err(failure) => Err(failure),
        };
        match made {
            Ok(former) => {
                after.attached = after.wanted();
                after.former = former;
                if let Err(failure) = self.remove(&after, &changes) {
                    // It would be there again for the next service.
                    error!("{}", failure.log_line());
                }
                self.held.replace(after);
                self.chronicle.tell(&after_it);
                self.tell_names();
                self.let_go_later();
                Ok(decided)
            }
            Err(failure) => {
                self.take_back(before, after, &changes).await;
                Err(failure)
            }
        }
    }

    /// Lets the kernel follow.
    async fn follow(self: &Rc<Self>, before: &Held, after: &Held) -> Result<Vec<Former>, Failure> {
        let is_same = before.intent() == after.intent() && before.wanted() == after.wanted();
        // What is taken of them is looked at.
        if is_same && before.spares.len() == after.spares.len() {
            self.keep_spaces(before, after);
            return Ok(after.former.clone());
        }
        // Without a limit: a change that goes on beside the next one would undo it.
        let change = self.change(before, after);
        let made = blocking(|| change.follow()).await?;
        self.keep_spaces(before, after);
        self.clear_later(made.left);
        Ok(made.former)
    }

    /// Takes a change back that the host has refused.
    async fn take_back(self: &Rc<Self>, mut before: Held, mut after: Held, changes: &Changes) {
        after.attached.extend(after.wanted());
        before.former = self.store.read_former();
        let back = self.change(&after, &before);
        match blocking(|| back.follow()).await {
            Ok(made) => {
                self.clear_later(made.left);
                before.former = made.former;
                self.held.replace(before);
            }
            Err(failure) => {
                // The records stay, so that the next service finds what is left.
                warn!(
                    "a change that failed is not taken back: {}",
                    failure.log_line()
                );
                self.held.borrow_mut().former = self.store.read_former();
                return;
            }
        }
        let held = self.held.borrow();
        let (mut records, mut others) = (Vec::new(), Vec::new());
        for object in changes.written.iter().chain(&changes.removed) {
            match held.stored(*object) {
                Some(stored) => records.push((*object, stored)),
                None => others.push(*object),
            }
        }
        // All at once: else the next service would find one that says that the call was done.
        let written = self.store.write_all(&records);
        let removed = others.into_iter().map(|object| self.store.remove(object));
        for failure in [written].into_iter().chain(removed).filter_map(Result::err) {
            error!("{}", failure.log_line());
        }
    }

    fn change(&self, before: &Held, after: &Held) -> Change {
        let machines = self.machines.borrow();
        let of = |(id, occupant): (&Guid, &Occupant)| {
            let machine = machines.get(&occupant.runtime_id)?;
            Some((*id, Arc::clone(machine)))
        };
        Change {
            hosts: Arc::clone(&self.hosts),
            store: self.store.clone(),
            before: before.intent(),
            after: after.intent(),
            attached: before.attached.clone(),
            was_wanted: before.wanted(),
            wanted: after.wanted(),
            spares: before.spares.iter().map(Spare::id).collect(),
            lingering: after.lingering.iter().map(Lingering::id).collect(),
            lingered: before.lingering.iter().map(Lingering::id).collect(),
            silent: (before.lingering.iter())
                .filter(|one| one.has_no_connection())
                .map(Lingering::id)
                .collect(),
            new_spaces: after.new_spaces(before),
            spaces: after.spares.iter().map(Spare::space).collect(),
            // What a change that is taken back has plugged in is plugged out.
            machines: (after.occupants.iter())
                .chain(&before.occupants)
                .filter_map(of)
                .collect(),
            resolvers: (after.occupants.iter())
                .filter_map(|(id, one)| Some((*id, one.machine.as_ref()?.resolver.clone())))
                .collect(),
            former: after.former.clone(),
        }
    }

    /// Writes the records of a change down: what others hang on comes first, so that what is left of a change that was
    /// broken off is found by its container.
    fn write(&self, held: &Held, changes: &Changes) -> Result<(), Failure> {
        let mut written = changes.written.clone();
        written.sort_by_key(|object| !matches!(object, Object::Namespace(_)));
        let stored = |object| held.stored(object).map(|stored| (object, stored));
        let records: Vec<_> = written.into_iter().filter_map(stored).collect();
        self.store.write_all(&records)
    }

    /// Removes the records of a change.
    fn remove(&self, held: &Held, changes: &Changes) -> Result<(), Failure> {
        match &*changes.removed {
            [] => Ok(()),
            removed => self.store.remove_all(removed, &held.gone),
        }
    }
}

/// Has the kernel follow what an earlier service left; endpoints of `wanted` are those that are to be there.
async fn take_over(change: Change, wanted: BTreeSet<Guid>) -> Result<Restored, Failure> {
    match is_root() {
        true => blocking(|| kernel::restore(change)).await,
        false => Ok(Restored::as_it_is(wanted)),
    }
}

/// The right to change networks, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held")] FairPlace);

/// The effect of one more call of the model, as part of a change.
fn join(changes: &mut Changes, more: Changes) {
    changes.id = more.id;
    changes
        .written
        .retain(|object| !more.removed.contains(object));
    for object in more.written {
        if !changes.written.contains(&object) {
            changes.written.push(object);
        }
    }
    changes.removed.extend(more.removed);
    changes.notifications.extend(more.notifications);
}
