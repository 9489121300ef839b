<#
.SYNOPSIS
    The named server variables may be set by the rewrite rules of a site.
.DESCRIPTION
    Run by ansible.windows.win_powershell. URL Rewrite answers 500.50 where a site's rule sets a variable that
    applicationHost.config does not allow. Only adds: other sites of the server may need the names that are there.
.PARAMETER Names
    Variable names, such as HTTP_X_FORWARDED_PROTO.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string[]]
    $Names
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

Import-Module -Name WebAdministration

$appHost = 'MACHINE/WEBROOT/APPHOST'
$section = 'system.webServer/rewrite/allowedServerVariables'

$allowed = @(Get-WebConfiguration -PSPath $appHost -Filter "$section/add" | ForEach-Object { $_.name })
$missing = @($Names | Where-Object { $allowed -notcontains $_ })

foreach ($name in $missing) {
    if ($PSCmdlet.ShouldProcess($name, 'allow as a server variable')) {
        Add-WebConfigurationProperty -PSPath $appHost -Filter $section -Name '.' -Value @{ name = $name }
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = @{ allowed = $allowed }; after = @{ allowed = @($allowed + $missing) } }
$Ansible.Result = @{ added = $missing }
