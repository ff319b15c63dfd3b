"""Programs: the command line now; the site agent and the controller later."""
