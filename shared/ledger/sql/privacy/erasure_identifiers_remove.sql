-- From here on nobody is known by these names; whoever comes with them is somebody new.
DELETE FROM customer_identifiers WHERE customer_key = ANY($1::uuid[])
