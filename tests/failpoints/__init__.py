"""Between each pair of steps of the race table a process dies, a reply is lost, a call is refused or comes late."""
