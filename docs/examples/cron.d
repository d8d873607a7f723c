# Run the bam backups that are due.
*/10 * * * * root '/usr/local/bin/bam' '--config' '/etc/bam/bam.yml' '--quiet' 'run'
