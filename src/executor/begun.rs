//! Work that a message asks for, begun where the message is handled: what is ready at once needs no task.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};
use actix_otp::catch_panic;

/// The answer to a message: there already, or worked on in a task of its own, which outlives the actor.
pub struct Begun<T>(State<T>);

enum State<T> {
    Done(T),
    Waiting(Pin<Box<dyn Future<Output = T>>>),
    /// The work panicked; whoever asked learns that there is no answer.
    Panicked,
}

impl<T: 'static> Begun<T> {
    /// Begins the work.
    pub(super) fn new(work: impl Future<Output = T> + 'static) -> Self {
        let mut work: Pin<Box<dyn Future<Output = T>>> = Box::pin(work);
        // Whatever happens before the task looks again is seen by that look, so nobody has to be woken.
        let mut context = Context::from_waker(Waker::noop());
        // A panic must cost this request alone, as it does in a task, and not the actor with all its messages.
        let polled = catch_panic(|| work.as_mut().poll(&mut context));
        Self(match polled {
            Ok(Poll::Ready(answer)) => State::Done(answer),
            Ok(Poll::Pending) => State::Waiting(work),
            Err(_) => State::Panicked,
        })
    }
}

impl<A, M> MessageResponse<A, M> for Begun<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, asker: Option<OneshotSender<M::Result>>) {
        // An asker that is gone needs no answer.
        let tell = |answer| asker.map(|asker| asker.send(answer));
        match self.0 {
            State::Done(answer) => drop(tell(answer)),
            State::Waiting(work) => {
                actix::spawn(async move { drop(tell(work.await)) });
            }
            State::Panicked => {}
        }
    }
}

impl<T> fmt::Debug for Begun<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Done(_) => "Begun::Done",
            State::Waiting(_) => "Begun::Waiting",
            State::Panicked => "Begun::Panicked",
        })
    }
}

#[cfg(test)]
mod tests {
    use actix::Handler;
    use tokio::{sync::oneshot, task};

    use super::*;

    struct Worker;

    impl Actor for Worker {
        type Context = actix::Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "task::Id")]
    enum Work {
        Ready,
        Waits(oneshot::Receiver<()>),
        Panics,
    }

    impl Handler<Work> for Worker {
        type Result = Begun<task::Id>;

        fn handle(&mut self, work: Work, _: &mut Self::Context) -> Self::Result {
            Begun::new(async move {
                match work {
                    Work::Ready => {}
                    Work::Waits(until) => until.await.unwrap_or_default(),
                    Work::Panics => panic!("kaboom"),
                }
                task::id()
            })
        }
    }

    #[actix::test]
    async fn work_that_is_ready_at_once_is_done_in_the_task_of_the_actor() {
        let worker = Worker.start();
        let first = worker.send(Work::Ready).await.unwrap();
        assert_eq!(worker.send(Work::Ready).await.unwrap(), first);
    }

    #[actix::test]
    async fn work_that_waits_goes_on_in_a_task_of_its_own_and_the_actor_serves_meanwhile() {
        let worker = Worker.start();
        let (done, until) = oneshot::channel();
        let waiting = worker.send(Work::Waits(until));
        let actor = worker.send(Work::Ready).await.unwrap();
        done.send(()).unwrap();
        assert_ne!(waiting.await.unwrap(), actor);
    }

    #[actix::test]
    async fn work_that_is_done_between_the_first_look_and_the_task_is_not_forgotten() {
        let worker = Worker.start();
        for _ in 0..100 {
            let (done, until) = oneshot::channel();
            let waiting = worker.send(Work::Waits(until));
            let other = std::thread::spawn(|| done.send(()));
            assert!(waiting.await.is_ok());
            other.join().unwrap().unwrap();
        }
    }

    #[actix::test]
    async fn work_that_panics_at_once_costs_the_actor_nothing() {
        let worker = Worker.start();
        assert!(worker.send(Work::Panics).await.is_err());
        assert!(worker.send(Work::Ready).await.is_ok());
    }
}
