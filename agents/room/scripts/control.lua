-- The room's epoch, state, reason, why it is paused (or nil), incarnation, and the server's time in ms.
return control_now()
