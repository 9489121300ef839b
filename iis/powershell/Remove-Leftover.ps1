<#
.SYNOPSIS
    What an interrupted run of Ansible left in the account's temporary folder is gone.
.DESCRIPTION
    Run by ansible.windows.win_powershell, before anything is sent to the host. Only folders, and only those of
    the named prefixes, directly in the temporary folder of the account that runs this.
.PARAMETER Prefix
    Beginning of the names of our own folders.
.PARAMETER PrefixUnlessEmpty
    Beginning of the names of Ansible's own folders. An empty one is no leftover: win_template always leaves one.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[A-Za-z0-9.-]+$')]
    [string]
    $Prefix,

    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[A-Za-z0-9.-]+$')]
    [string]
    $PrefixUnlessEmpty
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$removed = @()
$folders = @()
if (Test-Path -LiteralPath $env:TEMP) {
    $folders = @(Get-ChildItem -LiteralPath $env:TEMP -Directory)
}
foreach ($folder in $folders) {
    $left = $folder.Name.StartsWith($Prefix, [System.StringComparison]::OrdinalIgnoreCase)
    if ($folder.Name.StartsWith($PrefixUnlessEmpty, [System.StringComparison]::OrdinalIgnoreCase)) {
        $left = @(Get-ChildItem -LiteralPath $folder.FullName -Force).Count -gt 0
    }
    if (-not $left) {
        continue
    }
    if ($PSCmdlet.ShouldProcess($folder.FullName, 'remove')) {
        Remove-Item -LiteralPath $folder.FullName -Recurse -Force
    }
    $removed += $folder.FullName
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = @{ folders = $removed }; after = @{ folders = @() } }
$Ansible.Result = @{ removed = $removed }
