"""The store on top of aioboto3. Import nothing here: obstore's handler must not load botocore."""
