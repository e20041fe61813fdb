"""The application: finds the Nike logo (or yours) in photos with the library `mrcnn`."""
