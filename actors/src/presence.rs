//! What makes "never two incarnations at a time" a matter of construction: [`Presence`].

use std::sync::Arc;

use crate::control::Control;

/// One incarnation is there, or something that it started below itself.
///
/// It is held by the incarnation until its actor is dropped and, through their own ones, by the children of a supervisor.
/// The place of a child is free for the next incarnation when the last holder has let go of it. So a child that blocks its
/// thread keeps the place of every supervisor above it, also where that has been killed and makes its children anew.
pub(crate) struct Presence {
    control: Arc<Control>,
    _above: Option<Arc<Presence>>,
}

impl Presence {
    pub(crate) fn new(control: &Arc<Control>, above: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            control: Arc::clone(control),
            _above: above,
        })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.control.set_gone();
    }
}
