//! Lanes: what only so many calls have at one time.

use tokio::task::JoinSet;

use super::{
    tests::{STUCK, in_runtime, share},
    *,
};

#[test]
fn users_whose_calls_hang_leave_threads_to_root() {
    in_runtime(async {
        let all = lane(6);
        let user = |uid| {
            let user = UserShare::among(&all, (uid, 4), usize::MAX, STUCK);
            Share::new(user, u64::from(uid))
        };
        let (first, second) = (user(1), user(2));
        let root = Share::new(UserShare::new(0, 4, usize::MAX, STUCK), 3);
        let mut hung = Vec::new();
        for _ in 0..4 {
            hung.push(first.thread().await);
        }
        hung.push(second.thread().await);
        hung.push(second.thread().await);
        let waiting = tokio::task::spawn_local(async move { second.thread().await });
        // Nothing that waits keeps root from a thread.
        tokio::task::yield_now().await;
        let _of_root = root.thread().await;
        assert!(!waiting.is_finished());
        hung.pop();
        waiting.await.unwrap();
    });
}

#[test]
fn readers_of_events_take_no_place_of_those_of_networks() {
    in_runtime(async {
        let share = share();
        for (followed, other) in [
            (Followed::Events, Followed::Networks),
            (Followed::Networks, Followed::Events),
        ] {
            let all: Vec<_> = (0..FOLLOWERS)
                .map(|_| share.follow(followed).unwrap())
                .collect();
            share.follow(followed).unwrap_err();
            drop(share.follow(other).unwrap());
            drop(all);
            drop(share.follow(followed).unwrap());
        }
    });
}

/// Long documents that come by many connections of one user, and one of another user.
#[test]
fn a_user_of_many_connections_has_few_long_documents_read_at_one_time() {
    in_runtime(async {
        let user = UserShare::new(1, WAITING_THREADS, usize::MAX, STUCK);
        let (now, most) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0_usize)));
        let mut all = JoinSet::new();
        for connection in 0..50 {
            let share = Share::new(Rc::clone(&user), connection);
            for _ in 0..2 {
                let (share, now, most) = (Rc::clone(&share), Rc::clone(&now), Rc::clone(&most));
                all.spawn_local(async move {
                    let _place = share.parsing().await;
                    now.set(now.get() + 1);
                    most.set(most.get().max(now.get()));
                    tokio::task::yield_now().await;
                    now.set(now.get() - 1);
                });
            }
        }
        tokio::task::yield_now().await;
        let other = Share::new(UserShare::new(2, WAITING_THREADS, usize::MAX, STUCK), 1);
        let _of_another = other.parsing().await;
        assert!(!all.is_empty(), "the other user has not waited for them");
        while all.join_next().await.is_some() {}
        assert_eq!(most.get(), PARSED);
    });
}
