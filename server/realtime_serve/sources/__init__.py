"""Where weights come from: a directory, the hub, object stores, the web; each ends as a directory of this machine."""
